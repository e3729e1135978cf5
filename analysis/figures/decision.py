"""Accuracy over the time to a stable decision, with the front of both."""

from bsnn.analysis.pareto import CERTAIN, accuracy_error, pareto_front
from bsnn.analysis.study import tables
from bsnn.analysis.study.sweep import NoData

from .axes import accuracy_axis, accuracy_note, label_points
from .colours import FRONT, each_series
from .labels import accuracy_interval, interval, series_label, subtitle, tags_note, when
from .style import new_figure


def draw(sweep):
    """Return figure, table and caption."""
    table = decision_table(sweep.runs)
    if len(table) < 2:
        raise NoData("it needs two cells with a time to a stable decision")
    figure, (ax,) = new_figure(height=4.2)
    plot(table, ax)
    ax.get_legend().remove()
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.suptitle(subtitle(sweep, table), fontsize=9)
    caption = (
        f"Test accuracy {when(sweep.runs)} over the mean time from which on the label "
        "told by the outputs no longer changes: better is up and to the left. Numbers "
        "are hidden and output spikes of a test sample, with the time step where there "
        "are several. On the front is a cell that is "
        f"more accurate than each earlier one there, by more than {CERTAIN} standard "
        "errors of their difference (seeds and test samples). "
        + accuracy_note([ax])
        + accuracy_interval(table)
        + interval(sweep, table)
    )
    return figure, table, f"{caption} {tags_note(table.rule)}".rstrip()


def decision_table(runs):
    """Return cells with the front of accuracy and time to a stable decision.

    Parameters
    ----------
    runs : DataFrame
        As `study.sweep.Sweep.runs`.

    Returns
    -------
    table : DataFrame
        As `tables.cells`, of the last test, for cells whose seeds have all measured it;
        `decision_ms` and ``decision_ms_sd``; `accuracy_error`; `on_front`.
    """
    decided = tables.mean_over_seeds(runs, tables.CELL, ["decision_ms"])
    table = tables.cells(runs).merge(decided.drop(columns="n_seeds"), on=tables.CELL)
    table = table[table.decision_ms.notna()].reset_index(drop=True)
    error = accuracy_error(table)
    front = pareto_front(table.accuracy, table.decision_ms, error)
    return table.assign(accuracy_error=error, on_front=front)


def plot(table, ax):
    """Draw accuracy over the time to a decision, each point with its spikes.

    Parameters
    ----------
    table : DataFrame
        As `decision_table` returns it.
    ax : Axes
    """
    for source, rule, style, points in each_series(table):
        ax.errorbar(
            points.decision_ms,
            100 * points.accuracy,
            xerr=points.decision_ms_sd.fillna(0),
            yerr=100 * points.accuracy_sd.fillna(0),
            linestyle="none",
            elinewidth=0.5,
            label=series_label(source, rule),
            **style,
        )
    front = table[table.on_front].sort_values("decision_ms")
    ax.step(
        front.decision_ms,
        100 * front.accuracy,
        where="post",
        label="front",
        zorder=0,
        **FRONT,
    )
    accuracy_axis(ax, table.accuracy)
    ax.set_xlabel("Time to a stable decision (ms)")
    order = table.sort_values("on_front", ascending=False)
    label_points(
        ax,
        order.decision_ms.to_numpy(),
        100 * order.accuracy.to_numpy(),
        [
            f"{spikes:,.0f}" + (f", {dt:g} ms" if table.dt_ms.nunique() > 1 else "")
            for spikes, dt in zip(order.total_spikes, order.dt_ms, strict=True)
        ],
        ["black" if on_front else "0.45" for on_front in order.on_front],
    )
    ax.legend()
    return ax
