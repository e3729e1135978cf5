"""Draw what stands for a spike's derivative, on Yin-Yang over the time step
===========================================================================

::

    python examples/yin_yang_figure.py yin-yang.csv yin-yang.png

Of the rows that `examples/yin_yang.py` left with ``--out``: test accuracy of LIF and of
QIF neurons over the time step, a line for each estimator (bars: least and most of the
seeds), and seconds of an epoch. The grey line is what the inputs still tell at that
step: the accuracy of the label that most of 300,000 points have whose five spikes come
in the same steps, or nearest to them.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from brian2 import ms
from matplotlib.ticker import LogLocator
from result_table import ESTIMATOR_STYLES, draw_spread
from scipy.spatial import cKDTree
from yin_yang import HIDDEN, encode

from bsnn.inputs import yin_yang

NEIGHBOURS = 9  # points that say what a step's inputs mean, at least
N_POINTS = (300_000, 20_000)  # that say it, and that it is tested with


def told_by_inputs(dt_ms):
    """Return the accuracy (%) of the most frequent label of equal, or near, spikes."""
    rows, labels = [], []
    for seed, size in enumerate(N_POINTS):
        features, label = yin_yang.sample(size, seed=seed)
        spikes = encode(features, dt_ms * ms)
        steps = np.empty((size, spikes.n_neurons))
        steps[spikes.sample, spikes.neuron] = spikes.step
        rows.append(steps)
        labels.append(label)
    _, equal = np.unique(np.concatenate(rows), axis=0, return_inverse=True)
    equal, mine = np.split(equal.ravel(), [N_POINTS[0]])
    count = np.zeros((1 + max(equal.max(), mine.max()), 3), int)
    np.add.at(count, (equal, labels[0]), 1)
    count = count[mine]
    rare = count.sum(1) < NEIGHBOURS
    if rare.any():
        _, near = cKDTree(rows[0]).query(rows[1][rare], NEIGHBOURS)
        count[rare] = (labels[0][near][..., None] == range(3)).sum(1)
    return 100 * (count.argmax(1) == labels[1]).mean()


def main():
    table = pd.read_csv(sys.argv[1]).query(f"hidden == {HIDDEN}")
    steps = np.sort(table.dt_ms.unique())
    ceiling = [told_by_inputs(dt) for dt in steps]
    _, axes = plt.subplots(1, 3, figsize=(11, 3.6), layout="constrained")
    by = ["neuron", "estimator", "dt_ms"]
    for ax, (neuron, rows) in zip(axes, table.groupby("neuron"), strict=False):
        ax.plot(steps, ceiling, color="0.6", linewidth=3, label="what the inputs tell")
        for name, line in rows.groupby("estimator"):
            accuracy = line.groupby("dt_ms").accuracy_percent
            colour, marker = ESTIMATOR_STYLES[name]
            draw_spread(ax, accuracy, color=colour, marker=marker, label=name)
        ax.set(title=f"{neuron.upper()} neurons", ylabel="Test accuracy (%)")
        ax.set_ylim(70, 100)
    axes[0].legend(frameon=False, loc="lower left")
    seconds = table.groupby(by).seconds_an_epoch.median().reset_index()
    for (neuron, name), line in seconds.groupby(["neuron", "estimator"]):
        axes[2].plot(
            line.dt_ms,
            line.seconds_an_epoch,
            color=ESTIMATOR_STYLES[name][0],
            marker=ESTIMATOR_STYLES[name][1],
            markersize=5,
            linestyle="-" if neuron == "lif" else "--",
        )
    axes[2].set(yscale="log", ylabel="Seconds an epoch", title="full: LIF, dashed: QIF")
    axes[2].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes[2].yaxis.set_major_formatter("{x:g}")
    for ax in axes:
        ax.set(xscale="log", xlabel="Time step (ms)")
        ax.set_xticks(steps, [f"{dt:g}" for dt in steps])
        ax.minorticks_off()
    if len(sys.argv) > 2:
        plt.savefig(sys.argv[2], dpi=150)
    plt.show()


if __name__ == "__main__":
    main()
