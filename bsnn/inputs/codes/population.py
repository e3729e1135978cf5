r"""Population code: some inputs for each feature, each of which likes one value best.

Input i of k for a feature in low..high responds with a Gaussian, and fires the earlier
the stronger:

    r = exp(-(x - c_i)^2/(2 sigma^2)),    t = t_max (1 - r),    silent where r < least
    c_i = low + (2 i - 3)/2 (high - low)/(k - 2),    i = 1..k
    sigma = (high - low)/(k - 2)/overlap

References
----------
Bohte, Kok & La Poutré 2002, doi:10.1016/S0925-2312(01)00658-0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from brian2.units import Quantity

from bsnn.equations.units import as_number, as_positive, positive_seconds
from bsnn.spikes import Spikes

from .clock import onto_clock
from .held import as_series, check_inputs, frame_length, scaled

if TYPE_CHECKING:
    from bsnn.model import Model

FEWEST = 3  # inputs for a feature


def encode_population(
    values,
    model: Model,
    *,
    t_max: Quantity | None = None,
    overlap: float = 1.5,
    least: float = 0.1,
    low=None,
    high=None,
    crop: bool = False,
    time_scale: float = 1.0,
    merge: bool | None = None,
) -> Spikes:
    """Let the inputs of a feature fire in each frame, those first that like its value.

    Values beyond low and high count as these.

    Parameters
    ----------
    values : array_like of images, Series or Waves
    model : Model
        With k inputs for each feature, at least three; those of feature f are
        ``f*k .. f*k + k - 1``.
    t_max : Quantity, optional
        Latest possible spike after the start of a frame; the frame's end unless given.
    overlap : float
        Distance of neighbouring Gaussians in units of their sigma.
    least : float
        Response below which an input stays silent, in 0..1.
    low, high : float or array_like, shape (n_features,), optional
        The range of values; that of the series unless given, 0 and 255 of images.
    crop, time_scale
        As for `encode_rate`.
    merge : bool, optional
        As for `encode_events`: spikes of neighbouring frames may meet in a time step.

    Raises
    ------
    TypeError
        If `values` are of another kind.
    ValueError
        If they do not fit the model, or a number is not possible.
    """
    series = as_series(values, model)
    per_feature = max(model.n_inputs // max(series.n_features, 1), FEWEST)
    check_inputs(series, model, per_feature)
    length = frame_length(series, model, crop, time_scale)
    window = length if t_max is None else positive_seconds(t_max, "t_max")
    if window > length * (1 + 1e-9):
        raise ValueError(
            f"'t_max' must not exceed the length of a frame, {length:g} s, got "
            f"{t_max!s}."
        )
    least, overlap = as_number(least, "least"), as_positive(overlap, "overlap")
    if not 0 <= least < 1:
        raise ValueError(f"'least' must lie in 0..1, below 1, got {least}.")
    frames = [np.clip(x, 0, 1) for x in scaled(series, low, high)]
    offset = np.cumsum([0, *map(len, frames)])
    stacked = np.concatenate([np.empty((0, series.n_features)), *frames])
    response = responses(stacked, per_feature, overlap)
    row, neuron = np.nonzero(response.reshape(len(stacked), -1) >= max(least, 1e-300))
    chosen = response.reshape(len(stacked), -1)[row, neuron]
    sample = np.searchsorted(offset, row, side="right") - 1
    time = (row - offset[sample]) * length + window * (1 - chosen)
    inside = time < model.duration_seconds
    if not crop:
        # The weakest response of a last frame may come at its very end.
        time = np.minimum(time, np.nextafter(model.duration_seconds, 0))
        inside[:] = True
    parts = sample[inside], time[inside], neuron[inside]
    return onto_clock(*parts, len(series), model, merge=merge)


def responses(values: np.ndarray, per_feature: int, overlap: float) -> np.ndarray:
    """Return what the Gaussians of each feature say of its value.

    Parameters
    ----------
    values : ndarray, shape (n, n_features)
        In 0..1.
    per_feature : int
    overlap : float

    Returns
    -------
    responses : ndarray, shape (n, n_features, per_feature), float64
    """
    distance = 1 / (per_feature - 2)
    centres = (2 * np.arange(1, per_feature + 1) - 3) / 2 * distance
    sigma = distance / overlap
    return np.exp(-((values[..., None] - centres) ** 2) / (2 * sigma**2))
