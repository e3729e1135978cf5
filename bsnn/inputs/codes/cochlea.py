r"""A cochlea: a bank of filters, and a neuron behind each, which fires.

The impulse response of the filter with centre frequency f is a gammatone,

    h(t) = t^3 exp(-2 pi b t) cos(2 pi f t),    b = 1.019 ERB(f),
    ERB(f) = 24.7 Hz (1 + 4.37 f/kHz),

as four complex filters of one pole, with gain 1 at f. Centre frequencies are equally
far apart in ERBs. What comes out is rectified and compressed, and drives a neuron,

    dv/dt = (-v + drive)/tau,    drive = gain (max(y, 0)/rms)^compression

where rms is that of the sample's sound, so that how loud it is plays no part. It is
integrated as Brian2 does it exactly, with the mean drive of each time step.

References
----------
Glasberg & Moore 1990, doi:10.1016/0378-5955(90)90170-T (ERB); Hohmann 2002, Acta
Acustica 88:433-442 (filters).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from brian2.units import Hz, Quantity, ms
from scipy import signal

from bsnn.equations.units import as_positive, in_hertz, positive_seconds
from bsnn.inputs.numbers import name_of
from bsnn.inputs.waves import Waves
from bsnn.spikes import Spikes

from .clock import count_steps, of_grid, require_step
from .held import step_means

if TYPE_CHECKING:
    from bsnn.model import Model

EQUATIONS = "dv/dt = (-v + drive)/tau : 1"
THRESHOLD, RESET, METHOD = "v > 1", "v = 0", "exact"
ORDER = 4


def encode_cochlea(
    waves: Waves,
    model: Model,
    *,
    lowest: Quantity = 100 * Hz,
    highest: Quantity | None = None,
    gain: float = 4.0,
    compression: float = 1 / 3,
    tau: Quantity = 10 * ms,
    crop: bool = False,
) -> Spikes:
    """Let each input fire as the neuron behind a filter does.

    Parameters
    ----------
    waves : Waves
    model : Model
        With an input for each filter, from low to high frequencies.
    lowest, highest : Quantity
        Centre frequencies of the first and the last filter; unless given, the highest
        is 0.4 of the sampling rate.
    gain, compression : float
        Of the drive.
    tau : Quantity
        Of the neuron.
    crop : bool
        Whether what comes after the model's duration is left out; if not, it is
        refused.

    Raises
    ------
    TypeError
        If `waves` are none.
    ValueError
        If a sample is too long, a frequency not possible, or time continuous.
    """
    require_step(model, "cochlea")
    driven = drive(
        waves,
        model,
        lowest=lowest,
        highest=highest,
        gain=gain,
        compression=compression,
        crop=crop,
    )
    decay = np.exp(-model.dt_seconds / positive_seconds(tau, "tau"))
    v = np.zeros((len(driven), model.n_inputs))
    fired = np.zeros(driven.shape, bool)
    for n in range(driven.shape[1]):
        v = driven[:, n] + (v - driven[:, n]) * decay
        fired[:, n] = v > 1
        v[fired[:, n]] = 0
    return of_grid(fired, model)


def drive(
    waves: Waves, model: Model, *, lowest, highest, gain, compression, crop
) -> np.ndarray:
    """Return what drives the neurons; arguments as for `encode_cochlea`.

    Returns
    -------
    drive : ndarray, shape (n_samples, n_steps, n_inputs), float64
    """
    if not isinstance(waves, Waves):
        raise TypeError(
            f"'waves' must be Waves, got {type(waves).__name__}: a cochlea hears sound."
        )
    gain = as_positive(gain, "gain")
    compression = as_positive(compression, "compression")
    centres = centre_frequencies(
        in_hertz(lowest, "lowest"),
        0.4 * waves.rate if highest is None else in_hertz(highest, "highest"),
        model.n_inputs,
        waves.rate,
    )
    bank = filter_bank(centres, waves.rate)
    n_steps, duration = count_steps(model), model.duration_seconds
    driven = np.empty((len(waves), n_steps, len(centres)))
    for m, (wave, number) in enumerate(zip(waves.waves, waves.number, strict=True)):
        if not crop and len(wave) / waves.rate > duration * (1 + 1e-9):
            raise ValueError(
                f"'waves' must end with the model at {duration} s, got "
                f"{len(wave) / waves.rate:g} s of {name_of(int(number))}; choose a "
                "longer duration, or crop=True to leave the rest out."
            )
        heard = np.maximum(filtered(wave, bank), 0)
        loudness = np.sqrt(np.mean(wave**2))
        heard = gain * (heard / (loudness or 1)) ** compression
        driven[m] = step_means(heard, 1 / waves.rate, model.dt_seconds, n_steps)
    return driven


def filter_bank(centres: np.ndarray, rate: float) -> list[tuple]:
    """Return the coefficients of each filter, as ``lfilter`` takes them."""
    bank = []
    for frequency in centres:
        width = 1.019 * equivalent_bandwidth(frequency)
        radius = np.exp(-2 * np.pi * width / rate)
        pole = radius * np.exp(2j * np.pi * frequency / rate)
        # Of a real tone half goes through: hence the 2.
        bank.append(([2 * (1 - radius) ** ORDER], np.poly([pole] * ORDER)))
    return bank


def filtered(wave: np.ndarray, bank: list[tuple]) -> np.ndarray:
    """Return what each filter makes of a wave; shape (n, n_filters), float64."""
    return np.stack([signal.lfilter(*one, wave).real for one in bank], axis=1)


def equivalent_bandwidth(frequency):
    """Return the ERB of the ear's filter at a frequency; both in Hz."""
    return 24.7 * (1 + 4.37e-3 * frequency)


def centre_frequencies(lowest, highest, n_filters, rate) -> np.ndarray:
    """Return frequencies, in Hz, that are equally far apart in ERBs.

    Raises
    ------
    ValueError
        If they do not rise, or lie above half of the sampling rate.
    """
    if not 0 < lowest < highest < rate / 2:
        raise ValueError(
            f"'lowest' and 'highest' must rise between 0 and half of the sampling "
            f"rate, {rate / 2:g} Hz, got {lowest:g} and {highest:g} Hz."
        )
    ends = np.log1p(4.37e-3 * np.array([lowest, highest]))
    return np.expm1(np.linspace(*ends, n_filters)) / 4.37e-3
