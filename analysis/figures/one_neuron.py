"""Spikes of one neuron against its drive, under each time rule."""

from bsnn.analysis.study.one_neuron import read_counts
from bsnn.analysis.study.series import in_order

from .axes import drop_repetitions
from .colours import sequential_colour
from .labels import time_step_label
from .style import new_figure


def draw(sweep):
    """Return figure, table and caption."""
    table = read_counts(sweep)
    target = sweep.configs[sweep.runs.run.iloc[0]].get("true")
    rules = in_order(table.rule[table.dt_ms > 0])
    figure, axes = new_figure(len(rules), height=3.2, sharey=True)
    for ax, rule in zip(axes, rules, strict=True):
        plot(table[(table.rule == rule) | (table.dt_ms == 0)], ax, target)
        ax.set_title(rule)
    drop_repetitions(axes)
    caption = (
        "Spikes of one output neuron against its drive under two rules, beside its "
        "count in continuous time. Its input spikes arrive evenly over the window of "
        "the input code. The charge is the sum of the weights times tau_syn, in "
        "thresholds."
    )
    return figure, table, caption


def plot(table, ax, target=None):
    """Draw the spikes of one neuron against its drive, one line for each time step.

    Parameters
    ----------
    table : DataFrame
        As `read_counts` returns it, of one rule and the continuous limit, which is
        drawn in black.
    ax : Axes
    target : float, optional
        Spikes that the loss asks of the label, marked by a line across.
    """
    steps = sorted(table.dt_ms[table.dt_ms > 0].unique())
    for dt, line in table.groupby("dt_ms"):
        if dt == 0:
            style = {"color": "black", "linewidth": 1}
        else:
            style = {"color": sequential_colour(steps.index(dt), len(steps))}
        ax.plot(line.charge, line.spikes, label=time_step_label(dt), **style)
    if target is not None:
        ax.axhline(target, color="0.6", linewidth=0.8, linestyle=":", zorder=0)
        ax.annotate(
            "target",
            (1, target),
            xycoords=("axes fraction", "data"),
            xytext=(0, 2),
            textcoords="offset points",
            ha="right",
            fontsize=8,
            color="0.4",
        )
    ax.set_xlabel("Input charge (thresholds)")
    ax.set_ylabel("Spikes of the neuron")
    ax.set_xlim(0, table.charge.max())
    ax.set_ylim(bottom=0)
    ax.legend(title="Time step")
    return ax
