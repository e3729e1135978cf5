"""Which time steps and rules are worth having: accuracy against spikes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

CERTAIN = 2  # standard errors of a difference that is taken as one
FRONT_NOTE = (
    "On the Pareto front is a cell that is more accurate than each sparser one there, "
    f"by more than {CERTAIN} standard errors of their difference (seeds and test "
    "samples)."
)


def pareto_front(
    accuracy: ArrayLike, spikes: ArrayLike, error: ArrayLike = 0
) -> np.ndarray:
    """Return which points no other point dominates, as far as their errors tell.

    From the sparsest point on, one is on the front if it is more accurate than each
    sparser one there by more than `CERTAIN` standard errors of their difference.
    Without errors that is the usual front: what no point dominates that is at least as
    accurate with at most as many spikes, and better in one of the two. Of equal points,
    all or none are on the front.

    Parameters
    ----------
    accuracy, spikes : array_like, shape (n_points,)
    error : array_like, shape (n_points,), or float
        Standard error of each accuracy; NaN, of one that is not known, counts as 0.

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
    error = np.broadcast_to(np.nan_to_num(error), accuracy.shape)
    on_front = np.zeros(accuracy.shape, bool)
    for point in np.lexsort((-accuracy, spikes)):
        if not np.isfinite([accuracy[point], spikes[point]]).all():
            continue
        gain = accuracy[point] - accuracy[on_front]
        clear = gain > CERTAIN * np.hypot(error[point], error[on_front])
        equal = (gain == 0) & (spikes[on_front] == spikes[point])
        on_front[point] = equal.any() or clear.all()
    return on_front


def accuracy_error(cells):
    """Return the standard error of the mean accuracy of cells.

    It is that of the mean over seeds, and that of a fraction of so many test samples,
    of which two more are taken as right and two as wrong (Agresti & Coull, The American
    Statistician 52, 1998): none is certain because all its samples are right.

    Parameters
    ----------
    cells : DataFrame
        As `study.tables.cells` returns it.

    Returns
    -------
    error : Series
        What is not known, seeds or the number of samples, adds nothing.
    """
    of_seeds = cells.accuracy_sd.fillna(0) ** 2 / cells.n_seeds
    n_samples = cells.test_samples + 4
    fraction = (cells.accuracy * cells.test_samples + 2) / n_samples
    of_samples = (fraction * (1 - fraction) / n_samples).fillna(0)
    return np.sqrt(of_seeds + of_samples)


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
        and fewer spikes; `accuracy_error`; `on_front`.
    """
    # A network without a spike is infinitely sparse, and of no use: no point for it.
    spikes = cells.total_spikes.where(cells.total_spikes > 0)
    deviation = cells.total_spikes_sd
    table = cells.assign(
        inverse_spikes=1 / spikes,
        inverse_spikes_low=1 / (spikes + deviation),
        inverse_spikes_high=1 / (spikes - deviation).where(spikes > deviation),
        accuracy_error=accuracy_error(cells),
        on_front=False,
    )
    for _, points in table.groupby("source"):
        front = pareto_front(
            points.accuracy, spikes[points.index], points.accuracy_error
        )
        table.loc[points.index, "on_front"] = front
    return table
