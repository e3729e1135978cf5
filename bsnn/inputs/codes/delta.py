"""Level crossing: one input fires when a value has risen by delta, another on a fall.

Between the starts of frames a value goes straight from one to the next, and after that
of the last it stays. A reference begins at the first value. In each time step, if the
value at its end is above the reference by delta or more, the input for a rise fires and
the reference rises by delta; likewise for a fall: a delta modulator. A value that
changes by more than delta in a step is followed in the steps after it. In continuous
time each level is crossed at its instant.

References
----------
Corradi & Indiveri 2015, doi:10.1109/TBCAS.2015.2479256.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bsnn.equations.units import as_positive
from bsnn.spikes import Spikes

from .clock import count_steps, of_grid, onto_clock
from .held import as_series, check_inputs, frame_length, scaled

if TYPE_CHECKING:
    from bsnn.model import Model

ROUNDING = 1e-9  # of delta


def encode_delta(
    values,
    model: Model,
    *,
    delta: float = 0.1,
    low=None,
    high=None,
    crop: bool = False,
    time_scale: float = 1.0,
) -> Spikes:
    """Let two inputs for each feature fire, one when it rises and one when it falls.

    The first value itself is not told, only what becomes of it.

    Parameters
    ----------
    values : Series or Waves
    model : Model
        With two inputs for each feature: those for a rise come first, in the order of
        the features, then those for a fall.
    delta : float
        In units of the range, from `low` to `high`.
    low, high : float or array_like, shape (n_features,), optional
        The range of values; that of the series unless given.
    crop, time_scale
        As for `encode_rate`.

    Raises
    ------
    TypeError
        If `values` are of another kind.
    ValueError
        If they do not fit the model, or do not change, as images; if `delta` is not
        positive.
    """
    series = as_series(values, model)
    delta = as_positive(delta, "delta")
    check_inputs(series, model, per_feature=2)
    length = frame_length(series, model, crop, time_scale)
    if len(series) and all(len(frames) == 1 for frames in series.frames):
        raise ValueError(
            "'values' must change, got one frame of each sample, as images are; the "
            "codes first-spike, rate and population are for them."
        )
    frames = scaled(series, low, high)
    if model.dt_seconds > 0:
        return of_grid(_modulate(frames, length, delta, model), model)
    parts = [_crossings(x, length, delta) for x in frames]
    sample = np.repeat(np.arange(len(parts)), [len(time) for time, _ in parts])
    time = np.concatenate([np.empty(0), *(time for time, _ in parts)])
    neuron = np.concatenate([np.empty(0, np.int64), *(neuron for _, neuron in parts)])
    inside = time < model.duration_seconds
    sample, time, neuron = sample[inside], time[inside], neuron[inside]
    return onto_clock(sample, time, neuron, len(frames), model, merge=True)


def _modulate(frames, length, delta, model):
    """Return where inputs fire; (n_samples, n_steps, 2 n_features), bool."""
    n_steps = count_steps(model)
    # At the end of each step: what happens in a step is known there.
    ends = np.minimum(np.arange(1, n_steps + 1) * model.dt_seconds / length, 1e15)
    value = np.stack([_interpolated(x, ends) for x in frames]) if frames else None
    n_features = model.n_inputs // 2
    fired = np.zeros((len(frames), n_steps, 2 * n_features), bool)
    reference = np.array([x[0] for x in frames]).reshape(len(frames), n_features)
    enough = delta * (1 - ROUNDING)
    for n in range(n_steps if frames else 0):
        change = value[:, n] - reference
        rises, falls = change >= enough, change <= -enough
        reference += delta * rises - delta * falls
        fired[:, n, :n_features], fired[:, n, n_features:] = rises, falls
    return fired


def _interpolated(x, at):
    """Return frames between which values go straight, at places in frames."""
    at = np.minimum(at, len(x) - 1)
    before = np.minimum(at.astype(np.int64), max(len(x) - 2, 0))
    after = np.minimum(before + 1, len(x) - 1)
    part = (at - before)[:, None]
    return x[before] * (1 - part) + x[after] * part


def _crossings(x, length, delta):
    """Return the times and inputs of all crossings of one sample."""
    n_features, reference = x.shape[1], x[0].copy()
    times, inputs = [np.empty(0)], [np.empty(0, np.int64)]
    for k, (start, end) in enumerate(zip(x[:-1], x[1:], strict=True)):
        sign = np.sign(end - start)
        n_levels = np.floor((end - reference) * sign / delta + ROUNDING)
        n_levels = np.maximum(n_levels, 0).astype(np.int64)
        feature = np.repeat(np.arange(n_features), n_levels)
        first = np.repeat(np.cumsum(n_levels) - n_levels, n_levels)
        rank = np.arange(len(feature)) - first + 1
        level = reference[feature] + sign[feature] * delta * rank
        part = (level - start[feature]) / (end - start)[feature]
        times.append((k + np.clip(part, 0, 1)) * length)
        inputs.append(feature + n_features * (sign[feature] < 0))
        reference += sign * delta * n_levels
    return np.concatenate(times), np.concatenate(inputs)
