"""How time and memory grow: figures of what ``bsnn bench --scale`` measured."""

from pathlib import Path

import pandas as pd

from .colours import COLOURS, MARKERS
from .saving import save_figure
from .style import new_figure, print_style

AXES = {
    "hidden": "Hidden neurons",
    "batch_size": "Batch (samples)",
    "dt_ms": "Time step (ms)",
    "hidden_layers": "Hidden layers",
}
RECURRENT_AXES = {
    "size": "Recurrent neurons",
    "n_steps": "Time steps",
    "delay": "Delay (time steps)",
    "longest": "Longest of all delays (time steps)",
    "probability": "Probability of a synapse",
}
VALUES = {
    "time": {"forward_ms": "forward", "training_ms": "training"},
    "memory": {"memory_mib": "peak"},
}
LABELS = {"time": "Minibatch (ms)", "memory": "Memory (MiB)"}


def plot(table, ax, axis, value):
    """Draw the time or the memory of a minibatch along one axis.

    Parameters
    ----------
    table : DataFrame
        Columns `axis`, `value`, `forward_ms` and `training_ms` with quartiles in
        `_low` and `_high`, and `memory_mib`; error bars span the quartiles.
    ax : Axes
        Its x axis becomes logarithmic, and with the time its y axis.
    axis : str
        Of `AXES` or `RECURRENT_AXES`.
    value : {"time", "memory"}
    """
    points = table[table.axis == axis].sort_values("value")
    for index, (column, label) in enumerate(VALUES[value].items()):
        errors = None
        if f"{column}_low" in points:
            errors = [
                points[column] - points[f"{column}_low"],
                points[f"{column}_high"] - points[column],
            ]
        ax.errorbar(
            points.value,
            points[column],
            yerr=errors,
            label=label,
            color=COLOURS[index],
            marker=MARKERS[index],
            elinewidth=0.8,
            capsize=2,
        )
    ax.set_xscale("log")
    ax.set_xticks(points.value, [f"{x:g}" for x in points.value])
    ax.xaxis.minorticks_off()
    if value == "time":
        ax.set_yscale("log")
    else:
        ax.set_ylim(bottom=0)
    ax.set_xlabel((AXES | RECURRENT_AXES)[axis])
    ax.set_ylabel(LABELS[value])
    return ax


def make_scaling_figures(rows, out, names=AXES):
    """Draw time and memory along every axis.

    Parameters
    ----------
    rows : sequence of dict
        What `run_scale` of `bsnn.training.bench.scale` or `run_growth` of its `growth`
        returned.
    out : path
        Folder of the figures ``scaling_time`` and ``scaling_memory``.
    names : dict of str to str
        The axes that were varied, and what they are called.

    Returns
    -------
    paths : list of Path
        Of the PDF, PNG and CSV files.
    """
    table = pd.DataFrame(rows).drop(columns="report", errors="ignore")
    paths = []
    for value in VALUES:
        with print_style():
            figure, axes = new_figure(len(names), height=2.3, sharey=True)
            for ax, axis in zip(axes, names, strict=True):
                plot(table, ax, axis, value)
                ax.label_outer()
            if len(VALUES[value]) > 1:
                axes[0].legend()
            paths += save_figure(figure, Path(out) / f"scaling_{value}", table)
    return paths
