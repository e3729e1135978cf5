"""Currents: values drive neurons directly, without spikes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bsnn.equations.units import as_number

from .clock import count_steps, require_step
from .held import as_series, frame_length, step_means

if TYPE_CHECKING:
    from bsnn.network import Network


def encode_currents(
    values,
    network: Network,
    *,
    population: str,
    current: str = "I_stim",
    gain: float = 1.0,
    crop: bool = False,
    time_scale: float = 1.0,
) -> dict:
    """Return values as currents of a population, one feature for each neuron.

    They are used as they are, times `gain`; a frame drives for its whole length, and
    where a time step holds several it drives with their mean. After the last there is
    no current.

    Parameters
    ----------
    values : array_like of images, Series or Waves
        Of images, intensities in 0..255 during the whole sample.
    network : Network
    population : str
        Whose neurons they drive, as many as there are features; of one that all its
        neurons share, the single feature.
    current : str
        Its name in the neuron's equations, as in ``I_stim(t, i)``.
    gain : float
        Current of the value 1, in SI units.
    crop, time_scale
        As for `encode_rate`.

    Returns
    -------
    inputs : dict
        ``{population: {current: array}}``, the array of shape (n_samples, n_steps,
        n_neurons), float64, as a network takes it.

    Raises
    ------
    TypeError
        If `values` are of another kind.
    ValueError
        If there is no such population or current, or the features do not fit it.
    """
    size = _size(network, population, current)
    require_step(network, "currents")
    series = as_series(values, network)
    if len(series) and series.n_features != size:
        raise ValueError(
            f"'values' must have a feature for each of {size} neurons or currents of "
            f"{population!r}, got {series.n_features}."
        )
    length = frame_length(series, network, crop, time_scale)
    gain, n_steps = as_number(gain, "gain"), count_steps(network)
    driven = np.empty((len(series), n_steps, size))
    for m, frames in enumerate(series.frames):
        driven[m] = gain * step_means(frames, length, network.dt_seconds, n_steps)
    return {population: {current: driven}}


def _size(network, population, current):
    named = {part.name: part for part in getattr(network, "groups", ())}
    if population not in named:
        raise ValueError(
            f"'population' must be one of the network's, {', '.join(named) or 'none'}, "
            f"got {population!r}."
        )
    neuron = named[population].neuron
    if current not in neuron.currents:
        raise ValueError(
            f"'current' must be one of {population!r}, "
            f"{', '.join(neuron.currents) or 'which has none'}, got {current!r}; name "
            "it in 'currents' of its neuron."
        )
    return 1 if current in neuron.shared_currents else named[population].size
