"""Ask of runs how many of their outputs were silent before training, and after it
===============================================================================

::

    python examples/silent_outputs.py RUN... --out silent_outputs.csv

An output that fires for no sample has no spike time, so no gradient asks it to fire:
it wakes only if the layers before it change enough. One row for each run folder, of all
its test samples; the network before training is made again from the run's settings.
"""

import numpy as np
import run_table

from bsnn.training.from_settings import make_network

BATCH_SIZE = 1000


def silent_outputs(folder):
    """Return the row of one finished run."""
    settings, dataset = run_table.open_run(folder)
    images, summary = dataset.test_images, folder.summary()
    fired = np.zeros(settings.layers[-1], bool)
    with make_network(settings, settings.model()) as network:
        for start in range(0, len(images), BATCH_SIZE):
            chosen = images[start : start + BATCH_SIZE]
            inputs = settings.encode(chosen, network.model)
            fired[network.simulate(inputs)[-1].neuron] = True
    return {
        "run": folder.path.name,
        "silent_before": np.count_nonzero(~fired),
        "silent_after": summary["dead_labels"],
        "accuracy": summary["last"]["accuracy"],
    }


def draw(table, ax):
    """Draw how many outputs were silent."""
    silent = table[["silent_before", "silent_after"]]
    silent.plot.barh(ax=ax, xlabel="Outputs that fire for no sample", ylabel="")
    ax.set(xlim=(0, max(1, silent.max(axis=None))))
    for bars in ax.containers:
        ax.bar_label(bars, padding=2)
    ax.legend(loc="lower right")


if __name__ == "__main__":
    run_table.main(__doc__, silent_outputs, draw)
