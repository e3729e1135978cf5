"""What a neuroscientist looks at first: the raster and the membrane of one sample."""

import numpy as np

from .style import COLOURS


def plot_raster(table, ax, label=None, duration_ms=None):
    """Draw the spikes of every layer of one sample, each layer in a band of its own.

    Parameters
    ----------
    table : DataFrame
        As `traces.raster_table` returns it.
    ax : Axes
    label : int, optional
        The sample's label: spikes of that output are coloured.
    duration_ms : float, optional
        End of the time axis.
    """
    layers = table[["layer", "n_neurons"]].drop_duplicates().sort_values("layer")
    output = layers.layer.max()
    for band, (layer, n_neurons) in enumerate(layers.itertuples(index=False)):
        spikes = table[table.layer == layer]
        y = band + 0.05 + 0.9 * (spikes.neuron + 0.5) / n_neurons
        chosen = (spikes.neuron == label) & (layer == output)
        height = max(2.0, min(9.0, 60.0 / n_neurons))
        for which, colour in ((~chosen, "black"), (chosen, COLOURS[1])):
            ax.plot(
                spikes.time_ms[which],
                y[which],
                linestyle="none",
                marker="|",
                markersize=height,
                markeredgewidth=0.8,
                color=colour,
                rasterized=True,
            )
        if band:
            ax.axhline(band, color="0.7", linewidth=0.6)
    names = [_layer_name(layer, output) for layer in layers.layer]
    ticks = [f"{name}\n({n})" for name, n in zip(names, layers.n_neurons, strict=True)]
    ax.set_yticks(np.arange(len(layers)) + 0.5, ticks)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(0, len(layers))
    ax.set_xlim(0, duration_ms)
    ax.set_xlabel("Time (ms)")
    ax.set_ylabel("Layer (neurons)")
    return ax


def plot_membrane(table, ax, label=None):
    """Draw the membrane potential of some neurons of one sample.

    Parameters
    ----------
    table : DataFrame
        As `traces.trace_table` returns it.
    ax : Axes
    label : int, optional
        The sample's label, to mark its output neuron in the legend.
    """
    for index, (neuron, trace) in enumerate(table.groupby("neuron")):
        ax.plot(
            trace.time_ms,
            trace.v,
            color=COLOURS[index % len(COLOURS)],
            linestyle=("-", (0, (4, 1.5)), ":")[index % 3],
            linewidth=1,
            label=f"neuron {neuron}{' (label)' if neuron == label else ''}",
        )
    ax.axhline(
        table.v_threshold.iloc[0],
        color="0.45",
        linewidth=0.9,
        linestyle=(0, (6, 3)),
        label="threshold",
    )
    ax.set_xlim(0, table.time_ms.max())
    ax.set_xlabel("Time (ms)")
    ax.set_ylabel("Membrane potential")
    # Below the axes: a spike train leaves no room inside them.
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=3)
    return ax


def _layer_name(layer, output):
    if layer == 0:
        return "input"
    if layer == output:
        return "output"
    return "hidden" if output == 2 else f"hidden {layer}"
