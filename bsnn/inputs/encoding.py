"""From pixels to input spikes: time to first spike."""

from __future__ import annotations

import warnings

import numpy as np
from brian2.units import Quantity, ms
from numpy.typing import ArrayLike

from bsnn.equations import time_rules
from bsnn.equations.units import positive_seconds
from bsnn.model import Model
from bsnn.outside import fixed
from bsnn.spikes import Spikes

WHITE = 255  # the largest intensity
# Some images have scales that end at 1 or 16. On our scale one image may be that faint
# by chance, but hardly so many.
FAINT, MANY = 16, 5


def encode_ttfs(
    images: ArrayLike, model: Model, *, t_max: Quantity = 100 * ms
) -> Spikes:
    r"""Let each pixel spike once, the brighter the earlier; zero pixels stay silent.

    A pixel of intensity x > 0 spikes at t_max (1 - x/255).

    Parameters
    ----------
    images : array_like, shape (n_samples, ...), uint8 or float
        Intensities in 0..255, of ``model.n_inputs`` pixels a sample.
    model : Model
        Its time rule decides what the times become.
    t_max : Quantity
        Latest possible spike, at most the model's duration.

    Returns
    -------
    spikes : Spikes
        With `step` only where the model has a grid, with `time` only where its time is
        continuous.

    Raises
    ------
    TypeError
        If `images` are not numbers, or `t_max` is a bare number.
    ValueError
        If the pixels do not fit the model or are not intensities, or `t_max` is not
        positive or longer than the duration.

    Warns
    -----
    UserWarning
        Once, if five or more images have light, and none a pixel above 16: their white
        may not be 255.

    References
    ----------
    Bacho & Chu 2023, doi:10.1162/neco_a_01609.
    """
    latest = positive_seconds(t_max, "t_max")
    dt, duration = model.dt_seconds, model.duration_seconds
    if latest > duration:
        raise ValueError(
            f"'t_max' must not exceed the model's duration of {duration} s, "
            f"got {t_max!s}; pass a smaller one."
        )
    pixels = intensities(images, model.n_inputs)

    def moment(intensity):
        time = latest * (1 - intensity / WHITE)
        # A time just before the end of the sample may round to it, or into the bin
        # after it.
        if dt == 0:
            return np.minimum(time, np.nextafter(duration, 0))
        last = time_rules.count_steps(duration, dt) - 1
        return np.minimum(time_rules.bin_index(time, dt), last)

    lit = np.flatnonzero(pixels != 0)
    sample, neuron = np.divmod(lit, model.n_inputs)
    intensity = pixels.ravel()[lit]
    _warn_if_faint(sample, intensity)
    if pixels.dtype == np.uint8:
        # Grey levels are few: work out each one once, and sort by small integers,
        # for which NumPy has a radix sort.
        levels = moment(np.arange(WHITE + 1))
        rank = np.unique(levels, return_inverse=True)[1].astype(np.uint8)
        moments, key = levels[intensity], rank[intensity]
    else:
        moments = key = moment(intensity)
    n_samples = len(pixels)
    order = np.lexsort((key, sample.astype(np.min_scalar_type(n_samples))))
    offset = np.searchsorted(lit, np.arange(n_samples + 1) * model.n_inputs)
    return Spikes.known(
        neuron=fixed(neuron[order].astype(np.int32)),
        offset=fixed(offset.astype(np.int64)),
        n_neurons=model.n_inputs,
        dt=dt,
        **{"step" if dt > 0 else "time": fixed(moments[order])},
    )


def _warn_if_faint(sample, intensity):
    brightest = intensity.max(initial=0)
    if brightest > FAINT or len(np.unique(sample)) < MANY:
        return
    white = FAINT if brightest > 1 else 1
    # Issued as from this line, so that Python shows it once for all callers.
    warnings.warn(
        f"'images' should hold intensities in 0..{WHITE}, got none above {white}: "
        f"almost black; if their scale is 0..{white}, multiply them by "
        f"{WHITE}/{white}.",
        stacklevel=1,
    )


def intensities(images, n_inputs):
    """Return `images` as (n_samples, n_inputs), uint8 or float64, after checking."""
    images = np.asarray(images)
    if images.dtype.kind not in "uif":
        white = f"; multiply them by {WHITE}" if images.dtype == bool else ""
        raise TypeError(
            f"'images' must be an array of numbers, got {images.dtype}{white}."
        )
    if images.ndim < 2 or np.prod(images.shape[1:]) != n_inputs:
        hint = "; put a single image in a batch of one with images[None]"
        raise ValueError(
            f"'images' must have shape (n_samples, ...) with {n_inputs} pixels a "
            f"sample to fit the model, got {images.shape}"
            f"{hint if images.size == n_inputs else ''}."
        )
    images = images.reshape(len(images), n_inputs)
    if images.dtype == np.uint8:
        return images
    if not (np.all(images >= 0) and np.all(images <= WHITE)):
        raise ValueError(
            f"'images' must hold intensities in 0..{WHITE}, "
            f"got {images.min()}..{images.max()}; undo any normalisation."
        )
    if images.dtype.kind in "ui":
        return images.astype(np.uint8)
    if 0 < images.max(initial=0) <= 1:
        raise ValueError(
            f"'images' must hold intensities in 0..{WHITE}, got none above 1; "
            f"multiply images that are scaled to 0..1 by {WHITE}."
        )
    return images.astype(np.float64)
