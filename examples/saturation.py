"""Ask of trained networks whether their outputs, or their hidden neurons, are full
================================================================================

::

    python examples/saturation.py RUN... --out saturation.csv

An output whose error never vanishes goes on demanding spikes. Is it because the output
already fires in every bin that is left to it, from its first spike on? And how much of
the gradient, which weighs each hidden spike with 1 / max(slope, 0.1 Hz), comes from the
flattest crossings, and from neurons that were above threshold when their bin began and
have no crossing in it, whose slope may be negative? One row for each run folder, of the
first 1,000 test samples and the last hidden layer.
"""

import numpy as np
import run_table

from bsnn.presets import PRESETS
from bsnn.training.experiments.checkpoint import load_checkpoint, restore_weights
from bsnn.training.from_settings import make_network
from bsnn.training.spike_times import crossings

N_SAMPLES = 1000
FLOORS = PRESETS["published"]["slope_min"], 5.0  # Hz


def saturation(folder):
    """Return the row of one run on a grid."""
    settings, dataset = run_table.open_run(folder)
    labels = dataset.test_labels[:N_SAMPLES].astype(int)
    with make_network(settings, settings.model()) as network:
        restore_weights(network, load_checkpoint(folder))
        inputs = settings.encode(dataset.test_images[:N_SAMPLES], network.model)
        *_, hidden, output = network.simulate(inputs)
        slope = crossings(hidden, network.model.neurons[-2]).slope.numpy()
        n_steps = network.model.n_steps

    of_label = output.neuron == labels[output.sample]
    first = np.full(len(labels), n_steps)
    np.minimum.at(first, output.sample[of_label], output.step[of_label])
    count = output.counts()[np.arange(len(labels)), labels]
    short = count < settings.true
    weight = 1 / np.maximum(slope, FLOORS[0])
    flat = {f"below_{floor:g}_hz": slope < floor for floor in FLOORS}
    return {
        "run": folder.path.name,
        "label_spikes": count.mean(),
        "short_of_target": short.mean(),
        "short_and_firing_in_every_bin_left": np.mean(
            short & (count == n_steps - first) & (count > 0)
        ),
        "hidden_spikes": hidden.n_spikes / len(labels),
        "hidden_firing_in_half_of_the_bins": np.mean(hidden.counts() >= n_steps / 2),
        **{f"spikes_{below}": np.mean(these) for below, these in flat.items()},
        **{
            f"share_of_1_over_slope_{below}": weight[these].sum() / weight.sum()
            for below, these in flat.items()
        },
    }


def draw(table, ax):
    """Draw how much of spikes and gradient comes from the flattest crossings."""
    shares = [name for name in table if "below" in name]
    table[shares].plot.barh(ax=ax, xlabel="Share", ylabel="")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, fontsize="small")


if __name__ == "__main__":
    run_table.main(__doc__, saturation, draw)
