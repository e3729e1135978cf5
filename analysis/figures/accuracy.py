"""Accuracy against the time step: of the test, or at the best and the last epoch."""

import pandas as pd

from bsnn.analysis.study import tables

from .axes import accuracy_note, drop_repetitions
from .labels import accuracy_interval, interval, subtitle, when
from .over_dt import plot, runs_over_dt
from .style import new_figure


def draw(sweep):
    """Return figure, table and caption."""
    runs, ours = runs_over_dt(sweep), sweep.runs
    # Where validation chose the epoch, there is one test.
    epochs = ("last",) if tables.validated(ours) else ("best", "last")
    figure, axes = new_figure(len(epochs), height=3.2, sharey=True)
    parts = []
    for ax, at in zip(axes, epochs, strict=True):
        part = tables.cells(runs, at)
        plot(part, ax, "accuracy")
        if len(epochs) > 1:
            ax.set_title(f"{at} epoch")
        parts.append(part.assign(epoch=at))
    drop_repetitions(axes)
    table = pd.concat(parts, ignore_index=True)
    figure.suptitle(subtitle(sweep, table), fontsize=9)
    best = "at the epoch of the best test accuracy and " if len(epochs) > 1 else ""
    caption = (
        f"Test accuracy against the time step, {best}{when(ours)}. "
        + accuracy_note(axes)
        + accuracy_interval(table)
        + interval(sweep, table)
    )
    return figure, table, caption
