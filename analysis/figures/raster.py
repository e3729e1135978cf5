"""The spikes of every layer in one sample."""

import numpy as np

from bsnn.analysis.traces import raster_table

from .colours import COLOURS
from .example import example, example_title
from .style import new_figure


def draw(sweep):
    """Return figure, table and caption."""
    run, layers, label = example(sweep)
    table = raster_table(layers)
    figure, (ax,) = new_figure(height=4.0)
    described = sweep.described(run.run)
    plot(
        table,
        ax,
        label,
        described.duration_ms,
        described.names,
        described.output,
        [layer.n_neurons for layer in layers],
    )
    figure.suptitle(example_title(sweep, run, label), fontsize=9)
    caption = (
        "Spikes of one test sample in all layers, where they take effect. Each layer "
        "has a band of the same height; the output of the label is coloured. "
        f"Run {run.run}."
    )
    return figure, table, caption


def plot(table, ax, label=None, duration_ms=None, names=None, output=True, sizes=None):
    """Draw the spikes of every layer of one sample, each layer in a band of its own.

    Parameters
    ----------
    table : DataFrame
        As `bsnn.analysis.traces.raster_table` returns it.
    ax : Axes
    label : int, optional
        The sample's label: spikes of that output are coloured.
    duration_ms : float, optional
        End of the time axis.
    names : sequence of str, optional
        Of the layers.
    output : bool
        Whether the last layer is the output, and not an integrator that never fires.
    sizes : sequence of int, optional
        Neurons of all layers, also of those that are silent; unless given, the layers
        are those of the table.
    """
    known = dict(zip(table.layer, table.n_neurons, strict=True))
    layers = dict(sorted(known.items())) if sizes is None else dict(enumerate(sizes))
    last = max(layers)
    for band, (layer, n_neurons) in enumerate(layers.items()):
        spikes = table[table.layer == layer]
        y = band + 0.05 + 0.9 * (spikes.neuron + 0.5) / n_neurons
        chosen = (spikes.neuron == label) & (layer == last) & output
        for which, colour in ((~chosen, "black"), (chosen, COLOURS[1])):
            mark(ax, spikes.time_ms[which], y[which], 60.0 / n_neurons, colour)
        if band:
            ax.axhline(band, color="0.7", linewidth=0.6)
    if names is None:
        names = [_layer_name(layer, last) for layer in layers]
    ticks = [f"{name}\n({n})" for name, n in zip(names, layers.values(), strict=True)]
    ax.set_yticks(np.arange(len(layers)) + 0.5, ticks)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(0, len(layers))
    ax.set_xlim(0, duration_ms)
    ax.set_xlabel("Time (ms)")
    ax.set_ylabel("Layer (neurons)")
    return ax


def mark(ax, time_ms, y, height, colour):
    """Draw spikes as strokes, about as high as a neuron's room, in points."""
    ax.plot(
        time_ms,
        y,
        linestyle="none",
        marker="|",
        markersize=max(2.0, min(9.0, height)),
        markeredgewidth=0.8,
        color=colour,
        rasterized=True,
    )


def _layer_name(layer, output):
    if layer == 0:
        return "input"
    if layer == output:
        return "output"
    return "hidden" if output == 2 else f"hidden {layer}"
