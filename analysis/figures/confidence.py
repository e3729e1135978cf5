"""Prediction confidence over time, one line for each time step."""

import pandas as pd

from bsnn.analysis.study import published, tables
from bsnn.analysis.study.series import is_limit, panel_rules
from bsnn.analysis.study.sweep import NoData

from .axes import drop_repetitions
from .colours import MARKERS, check_one_dataset, sequential_colour
from .labels import interval, subtitle, time_step_label, when
from .style import N_PANELS, new_figure


def draw(sweep):
    """Return figure, table and caption."""
    if sweep.confidence.empty:
        raise NoData("no run has a confidence.csv")
    both = published.beside(sweep.confidence, published.confidence(sweep.comparable))
    table = tables.mean_over_seeds(both, [*tables.CELL, "time_ms"], ["confidence"])
    ours = table[table.source == "bsnn"]
    # Published points only where a line of ours goes past them.
    table = table[table.dt_ms.isin(ours.dt_ms) & table.rule.isin(ours.rule)]
    panels = _panels(table, ours)
    table = table[pd.concat(panels, axis=1).any(axis=1)]
    steps = sorted(table.dt_ms.unique())
    figure, axes = new_figure(len(panels), height=3.6, sharey=True)
    for ax, (rule, rows) in zip(axes, panels.items(), strict=True):
        plot(table[rows[table.index]], ax, steps)
        ax.set_title(rule)
    drop_repetitions(axes)
    figure.suptitle(subtitle(sweep, table), fontsize=9)
    markers = "Open markers: published. " if len(set(table.source)) > 1 else ""
    caption = (
        "Prediction confidence (spikes of the true label's output so far, over their "
        f"target) {when(sweep.runs)}, mean over the test set. {markers}"
        + interval(sweep, table)
    )
    return figure, table, caption


def _panels(table, ours):
    """Return the rows in the panel of each rule: its own, and its limit beside them."""
    stepped = ours.rule[ours.dt_ms > 0].unique()
    return {
        rule: (table.rule == rule) | (is_limit(table) & (rule in stepped))
        for rule in panel_rules(ours)[:N_PANELS]
    }


def plot(table, ax, time_steps=None):
    """Draw the prediction confidence over time, one line for each time step.

    Parameters
    ----------
    table : DataFrame
        Columns `source`, `dt_ms`, `time_ms`, `confidence`, `confidence_sd`, of one
        rule and its continuous limit. Published values are open markers without lines.
    ax : Axes
    time_steps : sequence of float, optional
        All time steps (ms) that share the colours; those of the table unless given.
    """
    check_one_dataset(table)
    steps = sorted(table.dt_ms.unique() if time_steps is None else time_steps)
    for (source, dt), line in table.groupby(["source", "dt_ms"]):
        index = steps.index(dt)
        _plot_line(
            line.sort_values("time_ms"),
            ax,
            source,
            colour=sequential_colour(index, len(steps)),
            marker=MARKERS[index % len(MARKERS)],
            label=time_step_label(dt),
        )
    ax.set_xlabel("Time (ms)")
    ax.set_ylabel("Prediction confidence")
    ax.set_ylim(bottom=0)
    ax.set_xlim(left=0)
    ax.legend(title="Time step", handlelength=2.5)
    return ax


def _plot_line(line, ax, source, *, colour, marker, label):
    if source == "published":
        style = {"markerfacecolor": "none", "markeredgecolor": colour}
        ax.plot(line.time_ms, line.confidence, linestyle="none", marker=marker, **style)
        return
    ax.plot(
        line.time_ms,
        line.confidence,
        color=colour,
        marker=marker,
        markevery=(0.06, 0.12),
        markersize=3.5,
        label=label,
    )
    low, high = (line.confidence + s * line.confidence_sd for s in (-1, 1))
    ax.fill_between(line.time_ms, low, high, color=colour, alpha=0.2, linewidth=0)
