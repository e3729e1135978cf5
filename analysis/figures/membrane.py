"""Membrane potentials of the most active neurons in one sample."""

import numpy as np
import pandas as pd

from bsnn.analysis.study.sweep import NoData
from bsnn.analysis.traces import trace_table
from bsnn.errors import RunFolderError

from .colours import COLOURS, LINE_STYLES
from .example import example, example_title
from .style import new_figure

N_TRACES = 2  # neurons whose potential is drawn, in each panel


def draw(sweep):
    """Return figure, table and caption."""
    run, layers, label = example(sweep)
    model, weights = _model_and_weights(sweep, run.run)
    figure, axes = new_figure(2, height=3.2)
    parts = []
    for ax, layer, name in zip(axes, (0, -1), ("hidden", "output"), strict=True):
        if layer == 0 and model.n_layers == 1:
            ax.set_visible(False)
            continue
        shown = label if layer == -1 else None
        neurons = _most_active(layers[1:][layer], shown)
        part = trace_table(model, weights, layers, layer, neurons)
        plot(part, ax, shown)
        ax.set_title(f"{name} layer")
        parts.append(part.assign(layer=name))
    figure.suptitle(example_title(sweep, run, label), fontsize=9)
    caption = (
        "Membrane potentials of the most active neurons of one test sample, and of the "
        "label's output, reconstructed from spikes and weights in closed form. "
        f"Run {run.run}."
    )
    return figure, pd.concat(parts, ignore_index=True), caption


def plot(table, ax, label=None):
    """Draw the membrane potential of some neurons of one sample.

    Parameters
    ----------
    table : DataFrame
        As `bsnn.analysis.traces.trace_table` returns it.
    ax : Axes
    label : int, optional
        The sample's label, to mark its output neuron in the legend.
    """
    for index, (neuron, trace) in enumerate(table.groupby("neuron")):
        ax.plot(
            trace.time_ms,
            trace.v,
            color=COLOURS[index % len(COLOURS)],
            linestyle=LINE_STYLES[index % len(LINE_STYLES)],
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


def _model_and_weights(sweep, run):
    if sweep.load_weights is None:
        raise NoData("it needs the trained weights, and no way to load them was given")
    model = sweep.model(run)
    if model is None:
        raise NoData(f"the config.json of {run} describes no chain of CUBA LIF neurons")
    try:
        return model, sweep.load_weights(sweep.path(run))
    except RunFolderError as error:
        raise NoData(str(error)) from error


def _most_active(layer, label):
    counts = layer.counts()[0].astype(float)
    if label is not None:
        counts[label] = np.inf
    return np.argsort(-counts, kind="stable")[:N_TRACES].tolist()
