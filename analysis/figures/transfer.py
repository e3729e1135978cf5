"""Accuracy of networks run at a time step other than that of their training."""

import numpy as np
from matplotlib.patches import Rectangle

from bsnn.analysis.study import tables
from bsnn.analysis.study.series import in_order
from bsnn.analysis.study.sweep import NoData

from .colours import SEQUENTIAL, check_one_dataset
from .labels import subtitle
from .style import N_PANELS, new_figure


def draw(sweep):
    """Return figure, table and caption."""
    by = [*tables.CELL, "test_dt_ms"]
    table = tables.mean_over_seeds(sweep.transfer, by, ["accuracy"])
    table = table[table.dt_ms > 0]
    rules = in_order(table.rule)[:N_PANELS]
    table = table[table.rule.isin(rules)]
    if not rules:
        raise NoData(
            "no run was evaluated at other time steps; "
            "do so with 'bsnn evaluate RUN --dt-ms ...'"
        )
    width = "page" if len(rules) > 1 else "column"
    figure, axes = new_figure(len(rules), width=width, height=3.4)
    for ax, rule in zip(axes, rules, strict=True):
        plot(table[table.rule == rule], ax)
        ax.set_title(f"{rule}: test accuracy (%)")
    figure.suptitle(subtitle(sweep, table, "mean over seeds"), fontsize=9)
    caption = (
        "Test accuracy (%) of networks trained at one time step and run at another; "
        "framed where both are the same. Mean over seeds."
    )
    return figure, table, caption


def plot(table, ax):
    """Draw a matrix of accuracies, a row for each time step in training.

    Parameters
    ----------
    table : DataFrame
        Columns `dt_ms` (trained at), `test_dt_ms`, `accuracy`; one row a pair, of one
        rule.
    ax : Axes
    """
    check_one_dataset(table)
    matrix = 100 * table.pivot(index="dt_ms", columns="test_dt_ms", values="accuracy")
    lowest = 10 * np.floor(np.nanmin(matrix) / 10)
    ax.imshow(
        matrix, cmap=SEQUENTIAL, aspect="auto", origin="lower", vmin=lowest, vmax=100
    )
    for (row, column), percent in np.ndenumerate(matrix.to_numpy()):
        if np.isfinite(percent):
            dark = percent < (lowest + 100) / 2
            text = {"color": "white" if dark else "black", "fontsize": 8}
            centred = {"ha": "center", "va": "center"}
            ax.text(column, row, f"{percent:.1f}", **text, **centred)
        if matrix.index[row] == matrix.columns[column]:
            corner = (column - 0.47, row - 0.47)
            frame = Rectangle(corner, 0.94, 0.94, fill=False, edgecolor="black")
            ax.add_patch(frame)
    for axis, steps in ((ax.xaxis, matrix.columns), (ax.yaxis, matrix.index)):
        axis.set_ticks(range(len(steps)), [f"{dt:g}" for dt in steps])
    ax.set_xlabel("Time step in the test (ms)")
    ax.set_ylabel("Time step in training (ms)")
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    return ax
