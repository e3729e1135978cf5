"""Draw what the time step does to spoken digits
==============================================

::

    python examples/spoken_digits_figure.py spoken-digits.csv spoken-digits.png
    python examples/spoken_digits_figure.py spoken-digits.csv est.png --estimators

Of the rows that `examples/spoken_digits.py` left with ``--out``: accuracy, hidden
spikes and time to a stable decision against the time step of training (lines; bars:
least and most of the seeds), and below, for each kind of network, how many are told at
other steps than that of training, of the fast sigmoid. With ``--estimators`` the
recurrent network at the step of its training, by what stands for the derivative of a
spike.
"""

import argparse

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from result_table import ESTIMATOR_STYLES, draw_spread

VALUES = {
    "accuracy_percent": "Test accuracy (%)",
    "hidden_spikes": "Hidden spikes a sample",
    "decision_ms": "Stable decision (ms)",
}
STYLES = {
    "recurrent": ("#0072B2", "o"),
    "feed-forward": ("#D55E00", "s"),
    "with delays": ("#009E73", "^"),
    **ESTIMATOR_STYLES,
}


def draw_over_dt(axes, table, by):
    """Draw each of `VALUES` in axes of its own, a line for each value of a column."""
    for name, rows in table.groupby(by):
        colour, marker = STYLES[name]
        seeds = rows.groupby("train_dt_ms")
        for ax, (value, label) in zip(axes, VALUES.items(), strict=True):
            style = {"color": colour, "marker": marker, "label": name}
            draw_spread(ax, seeds[value], **style)
            ax.set_ylabel(label)
    axes[0].legend(frameon=False)
    axes[1].set_ylim(bottom=0)


def draw_transfer(ax, table):
    """Draw the accuracy at each step, a row for each step of training."""
    by = ["train_dt_ms", "test_dt_ms"]
    mean = table.groupby(by).accuracy_percent.mean().unstack()
    ax.imshow(mean, cmap="viridis", vmin=50, vmax=100, aspect="auto")
    for at in np.ndindex(mean.shape):
        if np.isfinite(mean.iloc[at]):
            dark = mean.iloc[at] < 80
            style = {"color": "w" if dark else "k", "ha": "center", "va": "center"}
            ax.text(*at[::-1], f"{mean.iloc[at]:.1f}", fontsize=8, **style)
    ax.set_xticks(range(mean.shape[1]), [f"{dt:g}" for dt in mean.columns])
    ax.set_yticks(range(mean.shape[0]), [f"{dt:g}" for dt in mean.index])
    ax.set(xlabel="Tested at (ms)", ylabel="Trained at (ms)")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("table", help="CSV file of spoken_digits.py")
    parser.add_argument("figure", nargs="?", help="file that the figure is saved to")
    parser.add_argument("--estimators", action="store_true")
    arguments = parser.parse_args()
    table = pd.read_csv(arguments.table)
    at_its_step = "train_dt_ms == test_dt_ms"
    if arguments.estimators:
        _, axes = plt.subplots(1, 3, figsize=(10, 3.2), layout="constrained")
        table = table.query(f"network == 'recurrent' and {at_its_step}")
        draw_over_dt(axes, table, "estimator")
    else:
        _, (axes, below) = plt.subplots(2, 3, figsize=(10, 6), layout="constrained")
        table = table.query("estimator == 'fast-sigmoid'")
        draw_over_dt(axes, table.query(at_its_step), "network")
        axes[0].set_ylim(90, 100.3)
        for ax, (name, rows) in zip(below, table.groupby("network"), strict=False):
            draw_transfer(ax, rows)
            ax.set_title(f"{name}: told (%)", fontsize=10)
    steps = sorted(table.test_dt_ms.unique())
    for ax in axes:
        ax.set(xscale="log", xlabel="Time step (ms)")
        ax.set_xticks(steps, [f"{dt:g}" for dt in steps])
        ax.minorticks_off()
        ax.set_xlim(steps[0] / 1.2, 1.2 * steps[-1])
    if arguments.figure:
        plt.savefig(arguments.figure, dpi=150)
    plt.show()


if __name__ == "__main__":
    main()
