"""Values of any kind as frames that are held for a while, on the clock of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from brian2.units import second

from bsnn.equations.units import as_positive
from bsnn.inputs.encoding import WHITE, intensities
from bsnn.inputs.events import Events
from bsnn.inputs.numbers import name_of
from bsnn.inputs.series import Series, checked_range
from bsnn.inputs.waves import Waves

if TYPE_CHECKING:
    from bsnn.model import Model


def as_series(values, model: Model) -> Series:
    """Return values as `Series`: of sound its mel bands, of an image a single frame.

    Raises
    ------
    TypeError
        If they are `Events`, or no numbers.
    ValueError
        If images hold no intensities.
    """
    if isinstance(values, Series):
        return values
    if isinstance(values, Waves):
        return values.series()
    if isinstance(values, Events):
        raise TypeError(
            "'values' must be images, Series or Waves, got Events, which are spikes "
            "already; the code for them is 'events'."
        )
    number = getattr(values, "number", None)
    images = np.asarray(values)
    pixels = intensities(images, int(np.prod(images.shape[1:])))
    return Series(
        frames=list(pixels.astype(float)[:, None, :]),
        step=model.duration_seconds * second,
        low=0.0,
        high=float(WHITE),
        number=number,
    )


def check_inputs(series: Series, model: Model, per_feature: int = 1):
    """Raise ValueError unless the model has so many inputs for each feature."""
    needed = per_feature * series.n_features
    if len(series) and needed != model.n_inputs:
        each = f" ({per_feature} each)" if per_feature > 1 else ""
        raise ValueError(
            f"'values' have {series.n_features} features, which need {needed} inputs"
            f"{each}, but the model has {model.n_inputs}."
        )


def scaled(series: Series, low, high) -> list[np.ndarray]:
    """Return frames that are 0 at `low` and 1 at `high`, unless given the series' own.

    Raises
    ------
    TypeError, ValueError
        If the range is not known, or none.
    """
    low = series.low if low is None else low
    high = series.high if high is None else high
    if low is None or high is None:
        raise ValueError(
            "'low' and 'high' must be given for values whose range is not known: what "
            "counts as the smallest and the largest."
        )
    low, high = checked_range(low, high, series.n_features)
    return [(frames - low) / (high - low) for frames in series.frames]


def frame_length(series: Series, model: Model, crop: bool, time_scale: float) -> float:
    """Return the length of a frame in seconds, if all samples end with the model.

    Raises
    ------
    ValueError
        If one is longer, and may not be cropped.
    """
    length = series.step_seconds * as_positive(time_scale, "time_scale")
    duration = model.duration_seconds
    for frames, number in zip(series.frames, series.number, strict=True):
        if not crop and len(frames) * length > duration * (1 + 1e-9):
            raise ValueError(
                f"'values' must end with the model at {duration} s, got "
                f"{len(frames) * length:g} s of {name_of(int(number))}; choose a "
                "longer duration, a 'time_scale', or crop=True to leave the rest out."
            )
    return length


def step_means(
    frames: np.ndarray, length: float, dt: float, n_steps: int
) -> np.ndarray:
    """Return the mean of held frames in each time step; 0 where there are no more.

    Parameters
    ----------
    frames : ndarray, shape (n_frames, n_features)
    length : float
        Of a frame, seconds.
    dt : float
        Time step, seconds.
    n_steps : int

    Returns
    -------
    means : ndarray, shape (n_steps, n_features), float64
    """
    n_frames = len(frames)
    # In frames; a step that begins with a frame, but for rounding, begins with it.
    edges = np.arange(n_steps + 1) * (dt / length)
    near = np.rint(edges)
    edges = np.where(np.abs(edges - near) < 1e-9 * np.maximum(near, 1), near, edges)
    edges = np.minimum(edges, n_frames)
    whole = np.minimum(edges.astype(np.int64), n_frames - 1)
    before = np.concatenate([np.zeros((1, frames.shape[1])), np.cumsum(frames, 0)])
    integral = before[whole] + frames[whole] * (edges - whole)[:, None]
    means = np.diff(integral, axis=0) * (length / dt)
    # Steps within one frame are that frame, to the last bit.
    inside = (edges[1:] <= whole[:-1] + 1) & (np.diff(edges) > 0.999 * dt / length)
    means[inside] = frames[whole[:-1][inside]]
    return means
