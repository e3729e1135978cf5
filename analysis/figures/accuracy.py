"""Accuracy against the time step, at the best and the last epoch."""

import pandas as pd

from bsnn.analysis.study import tables

from .axes import ACCURACY_NOTE, drop_repetitions
from .labels import interval, subtitle
from .over_dt import plot, runs_over_dt
from .style import new_figure


def draw(sweep):
    """Return figure, table and caption."""
    runs = runs_over_dt(sweep)
    figure, axes = new_figure(2, height=3.2, sharey=True)
    parts = []
    for ax, at in zip(axes, ("best", "last"), strict=True):
        part = tables.cells(runs, at)
        plot(part, ax, "accuracy")
        ax.set_title(f"{at} epoch")
        parts.append(part.assign(epoch=at))
    drop_repetitions(axes)
    table = pd.concat(parts, ignore_index=True)
    figure.suptitle(subtitle(sweep, table), fontsize=9)
    caption = (
        "Test accuracy against the time step, at the epoch of the best test accuracy "
        f"and after the last one. {ACCURACY_NOTE} " + interval(sweep, table)
    )
    return figure, table, caption
