"""Accuracy over sparsity, with the Pareto front."""

import numpy as np

from bsnn.analysis.pareto import FRONT_NOTE, pareto_table
from bsnn.analysis.study import tables
from bsnn.analysis.study.published import with_published
from bsnn.analysis.study.series import of_one_loss
from bsnn.analysis.study.sweep import NoData

from .axes import accuracy_axis, accuracy_note, label_points, spikes_axis
from .colours import FRONT, each_series
from .labels import (
    accuracy_interval,
    interval,
    series_label,
    subtitle,
    tags_note,
    when,
)
from .style import new_figure

# One collapsed cell, with this many times the smallest error, would hide differences
# between the others: those with a little more than it are drawn once more alone.
COLLAPSED, NEAR_FRONT = 3, 1.5


def draw(sweep):
    """Draw the runs with the loss of the study; return figure, table and caption."""
    return _draw(sweep, of_one_loss(with_published(sweep)))


def draw_losses(sweep):
    """Draw the runs with any loss, start and slope, if there are several."""
    runs = with_published(sweep)
    if len(of_one_loss(runs)) == len(runs):
        raise NoData("no run has a spike penalty or other targets beside those without")
    figure, table, caption = _draw(sweep, runs)
    return figure, table, f"{caption} {tags_note(table.rule)}"


def _draw(sweep, runs):
    table = pareto_table(tables.cells(runs, "last"))
    if len(table) < 2:
        raise NoData("it needs two cells (time steps or rules)")
    error = 1 - table.accuracy
    panels = {"all": table}
    if error.max() > COLLAPSED * error.min():
        panels["near the front"] = table[error <= NEAR_FRONT * error.min()]
    figure, axes = new_figure(len(panels), height=4.2)
    for ax, (title, part) in zip(axes, panels.items(), strict=True):
        plot(part, ax)
        ax.set_title(title if len(panels) > 1 else None)
        ax.get_legend().remove()
    # Below the panels: within, there may be no place without points.
    entries = axes[0].get_legend_handles_labels()
    figure.legend(*entries, loc="outside lower center", ncols=3)
    figure.suptitle(subtitle(sweep, table), fontsize=9)
    caption = (
        f"Test accuracy {when(sweep.runs)} over all hidden and output spikes of a test "
        "sample, on an inverse axis: better is up and to the right. "
        f"{FRONT_NOTE} "
        + accuracy_note(axes)
        + accuracy_interval(table)
        + interval(sweep, table)
    )
    return figure, table, caption


def plot(table, ax):
    """Draw accuracy over 1 / total spikes, each point labelled with its time step.

    Parameters
    ----------
    table : DataFrame
        As `pareto_table` returns it. Published points are open; a step joins the points
        on the front of each source.
    ax : Axes
    """
    for source, rule, style, points in each_series(table):
        _plot_points(points, ax, label=series_label(source, rule), **style)
    for source, points in table[table.on_front].groupby("source"):
        _plot_front(points.sort_values("inverse_spikes"), ax, source)
    accuracy_axis(ax, table.accuracy)
    spikes_axis(ax)
    order = table.sort_values(["on_front", "source"], ascending=[False, True])
    label_points(
        ax,
        order.inverse_spikes.to_numpy(),
        100 * order.accuracy.to_numpy(),
        [f"{dt:g} ms" for dt in order.dt_ms],
        ["black" if on_front else "0.45" for on_front in order.on_front],
    )
    ax.legend()
    return ax


def _plot_points(points, ax, **style):
    x, y = points.inverse_spikes, 100 * points.accuracy
    spread = [x - points.inverse_spikes_low, points.inverse_spikes_high - x]
    ax.errorbar(
        x,
        y,
        xerr=np.nan_to_num(np.clip(spread, 0, None)),
        yerr=100 * points.accuracy_sd.fillna(0),
        linestyle="none",
        elinewidth=0.5,
        **style,
    )


def _plot_front(front, ax, source):
    ax.step(
        front.inverse_spikes,
        100 * front.accuracy,
        where="pre",
        linestyle="-" if source == "bsnn" else ":",
        **FRONT,
        label=f"Pareto front{'' if source == 'bsnn' else ', published'}",
    )
