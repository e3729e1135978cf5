"""Accuracy or spikes against the time step, for the figures of both."""

from bsnn.analysis.study.published import with_published
from bsnn.analysis.study.series import of_one_loss
from bsnn.analysis.study.sweep import NoData

from .axes import accuracy_axis, time_step_axis, zero_position
from .colours import each_series
from .labels import series_label


def runs_over_dt(sweep):
    """Return the runs that such a figure shows, ours and the published ones."""
    runs = of_one_loss(with_published(sweep))
    if not (runs.dt_ms > 0).any():
        raise NoData("it needs a time step above 0")
    return runs


def plot(table, ax, value):
    """Draw accuracy or spikes against the time step, one line for each rule and source.

    Parameters
    ----------
    table : DataFrame
        As `tables.cells` returns it.
    ax : Axes
        Its x axis becomes logarithmic; a time step of 0 is drawn left of a break.
    value : {"accuracy", "total_spikes", "hidden_spikes", "output_spikes"}
    """
    scale = 100 if value == "accuracy" else 1
    zero = zero_position(table.dt_ms)
    for source, rule, style, line in each_series(table):
        line = line.sort_values("dt_ms")
        ax.errorbar(
            line.dt_ms.where(line.dt_ms > 0, zero),
            scale * line[value],
            yerr=scale * line[f"{value}_sd"].fillna(0),
            label=series_label(source, rule),
            linestyle="-" if source == "bsnn" else (0, (4, 2)),
            elinewidth=0.8,
            capsize=2,
            **style,
        )
    time_step_axis(ax, table.dt_ms)
    if value == "accuracy":
        accuracy_axis(ax, table.accuracy)
    else:
        kind = value.removesuffix("_spikes").replace("total", "")
        ax.set_ylabel(f"{kind} spikes per sample".strip().capitalize())
        ax.set_ylim(bottom=0)
    ax.legend()
    return ax
