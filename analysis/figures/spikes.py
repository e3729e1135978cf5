"""Spikes of a sample against the time step, all of them and the output's."""

from bsnn.analysis.study import tables

from .labels import interval, subtitle, when
from .over_dt import plot, runs_over_dt
from .style import new_figure


def draw(sweep):
    """Return figure, table and caption."""
    table = tables.cells(runs_over_dt(sweep), "last")
    figure, axes = new_figure(2, height=3.2)
    for ax, value in zip(axes, ("total_spikes", "output_spikes"), strict=True):
        plot(table, ax, value)
    axes[1].get_legend().remove()
    figure.suptitle(subtitle(sweep, table), fontsize=9)
    caption = (
        f"Spikes per test sample against the time step {when(sweep.runs)}: all hidden "
        "and output spikes, and those of the output alone. " + interval(sweep, table)
    )
    return figure, table, caption
