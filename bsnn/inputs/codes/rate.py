r"""Rates: an input fires at random, the more often the larger its value.

On a grid an input fires in a step of dt with the probability r dt, as a neuron of
Brian2's ``PoissonGroup`` does, where r is the mean of its rate in the step: the
expected number of spikes is the same at any dt. In continuous time they are a Poisson
process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from brian2.units import Hz, Quantity

from bsnn.equations.units import as_int, as_number, as_positive, in_hertz
from bsnn.inputs.numbers import generators
from bsnn.inputs.poisson import poisson_events
from bsnn.spikes import Spikes

from .clock import count_steps, in_order
from .held import as_series, check_inputs, frame_length, scaled, step_means

if TYPE_CHECKING:
    from bsnn.model import Model


def encode_rate(
    values,
    model: Model,
    *,
    rate: Quantity = 100 * Hz,
    background: Quantity = 0 * Hz,
    seed: int = 0,
    low=None,
    high=None,
    crop: bool = False,
    time_scale: float = 1.0,
) -> Spikes:
    r"""Let each input fire at random, at a rate that grows linearly with its value.

    r = background + (rate - background) (x - low)/(high - low), where values beyond
    low and high count as these. After a sample's last frame all is silent.

    Parameters
    ----------
    values : array_like of images, Series or Waves
        With as many pixels, features or mel bands as the model has inputs.
    model : Model
    rate, background : Quantity
        Rates of the largest and of the smallest value.
    seed : int
        With the sample's number, see `bsnn.inputs.numbers`, it seeds what a sample
        draws: a sample has the same spikes in any batch.
    low, high : float or array_like, shape (n_features,), optional
        The range of values; that of the series unless given, 0 and 255 of images.
    crop : bool
        Whether what comes after the model's duration is left out; if not, it is
        refused.
    time_scale : float
        What the length of frames is multiplied by.

    Raises
    ------
    TypeError
        If `values` are of another kind.
    ValueError
        If they do not fit the model, or a rate is negative, or more than one spike a
        time step.
    """
    seed = as_int(seed, "seed", least=0)
    fastest = as_positive(in_hertz(rate, "rate"), "rate")
    slowest = as_number(in_hertz(background, "background"), "background")
    if slowest < 0:
        raise ValueError(f"'background' must not be negative, got {background!s}.")
    series = as_series(values, model)
    check_inputs(series, model)
    length = frame_length(series, model, crop, time_scale)
    dt = model.dt_seconds
    if max(fastest, slowest) * dt > 1 + 1e-9:
        raise ValueError(
            f"'rate' must be at most one spike in a time step of {dt} s, "
            f"{1 / dt:g} Hz, got {max(fastest, slowest):g} Hz; choose a lower rate or "
            "a smaller time step."
        )
    frames = [np.clip(x, 0, 1) for x in scaled(series, low, high)]
    rates = [slowest + (fastest - slowest) * x for x in frames]
    draw = _draw_times if dt == 0 else _draw_steps
    parts = [
        draw(rng, r, length, model)
        for rng, r in zip(generators(series, len(series), seed), rates, strict=True)
    ]
    sample = np.repeat(np.arange(len(parts)), [len(when) for when, _ in parts])
    kind = float if dt == 0 else np.int64
    when = np.concatenate([np.empty(0, kind), *(when for when, _ in parts)])
    neuron = np.concatenate([np.empty(0, np.int64), *(neuron for _, neuron in parts)])
    return in_order(sample, when, neuron, len(series), model)


def _draw_steps(rng, rates, length, model):
    means = step_means(rates, length, model.dt_seconds, count_steps(model))
    return np.nonzero(rng.random(means.shape) < means * model.dt_seconds)


def _draw_times(rng, rates, length, model):
    time, neuron = poisson_events(rng, rates, length)
    inside = time < model.duration_seconds
    time, neuron = time[inside], neuron[inside]
    order = np.lexsort((neuron, time))
    return time[order], neuron[order]
