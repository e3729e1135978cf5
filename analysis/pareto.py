"""Which time steps and rules are worth having: accuracy against spikes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def pareto_front(accuracy: ArrayLike, spikes: ArrayLike) -> np.ndarray:
    """Return which points no other point dominates.

    A point dominates another if it is at least as accurate with at most as many
    spikes, and better in one of the two. Of equal points, all or none are on the front.

    Parameters
    ----------
    accuracy, spikes : array_like, shape (n_points,)

    Returns
    -------
    on_front : ndarray, shape (n_points,), bool
        False where a coordinate is NaN.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    accuracy, spikes = np.asarray(accuracy, float), np.asarray(spikes, float)
    if accuracy.shape != spikes.shape or accuracy.ndim != 1:
        raise ValueError(
            "'accuracy' and 'spikes' must be of one length, "
            f"got shapes {accuracy.shape} and {spikes.shape}."
        )
    # Entry [a, b]: a compared with b.
    no_worse = (accuracy[:, None] >= accuracy) & (spikes[:, None] <= spikes)
    better = (accuracy[:, None] > accuracy) | (spikes[:, None] < spikes)
    dominated = (no_worse & better).any(axis=0)
    return ~dominated & np.isfinite(accuracy) & np.isfinite(spikes)


def pareto_table(cells):
    """Return cells with the front of their means over seeds.

    Parameters
    ----------
    cells : DataFrame
        As `study.tables.cells` returns it; each `source` has a front of its own.

    Returns
    -------
    table : DataFrame
        The columns of `cells`; `inverse_spikes` = 1 / total spikes per sample, with
        `inverse_spikes_low` and `inverse_spikes_high` at one standard deviation more
        and fewer spikes; `on_front`.
    """
    # A network without a spike is infinitely sparse, and of no use: no point for it.
    spikes = cells.total_spikes.where(cells.total_spikes > 0)
    deviation = cells.total_spikes_sd
    table = cells.assign(
        inverse_spikes=1 / spikes,
        inverse_spikes_low=1 / (spikes + deviation),
        inverse_spikes_high=1 / (spikes - deviation).where(spikes > deviation),
        on_front=False,
    )
    for _, points in table.groupby("source"):
        front = pareto_front(points.accuracy, spikes[points.index])
        table.loc[points.index, "on_front"] = front
    return table
