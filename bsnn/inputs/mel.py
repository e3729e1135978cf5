r"""Loudness of sound in bands that are equally far apart to the ear: the mel scale.

    mel(f) = 2595 log10(1 + f/700 Hz)

A band weighs the power of frequencies by a triangle that reaches from the centre of the
band below to that of the band above.

References
----------
Davis & Mermelstein 1980, doi:10.1109/TASSP.1980.1163420.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from brian2.units import Quantity, ms
from numpy.lib.stride_tricks import sliding_window_view
from scipy import fft, signal

from bsnn.equations.units import as_int, as_positive, in_hertz, positive_seconds


@dataclass(frozen=True, kw_only=True)
class Mel:
    """How sound becomes the loudness of bands, in frames.

    Parameters
    ----------
    n_bands : int
    frame : Quantity
        From one frame to the next.
    window : Quantity
        Of the sound around the middle of a frame (Hann).
    lowest, highest : Quantity or float
        Ends of the lowest and the highest band, in Hz; half of the sampling rate, if
        `highest` is None.
    range_db : float
        What is as many decibels below the loudest band and frame of a sample, or more,
        has loudness 0; the loudest has 1. So how loud a sample is plays no part.

    Raises
    ------
    TypeError, ValueError
        If a value is no number or time, or not positive.
    """

    n_bands: int = 40
    frame: Quantity = field(default_factory=lambda: 10 * ms)
    window: Quantity = field(default_factory=lambda: 25 * ms)
    lowest: float | Quantity = 50.0
    highest: float | Quantity | None = None
    range_db: float = 40.0

    def __post_init__(self):
        as_int(self.n_bands, "n_bands", least=1)
        positive_seconds(self.frame, "frame"), positive_seconds(self.window, "window")
        as_positive(self.range_db, "range_db")
        as_positive(in_hertz(self.lowest, "lowest"), "lowest")

    def loudness(self, wave: np.ndarray, rate: float) -> np.ndarray:
        """Return the loudness of a wave in each frame and band.

        Parameters
        ----------
        wave : ndarray, shape (n,)
        rate : float
            Hz.

        Returns
        -------
        loudness : ndarray, shape (n_frames, n_bands), float64
            In 0..1; of silence, 0. The frames cover the wave, the last maybe in part.
        """
        hop = self._samples(self.frame, rate, "frame")
        width = self._samples(self.window, rate, "window")
        n_fft = fft.next_fast_len(2 * width)  # bands are narrow at low frequencies
        n_frames = -(-len(wave) // hop)
        # The window of a frame lies around its middle; beyond the wave it is quiet.
        before = width // 2 - hop // 2
        padded = np.pad(wave, (max(before, 0), n_frames * hop - len(wave) + width))
        windows = sliding_window_view(padded[max(-before, 0) :], width)[::hop]
        shape = signal.windows.hann(width, sym=False)
        spectrum = fft.rfft(windows[:n_frames] * (shape / shape.sum()), n_fft)
        frequencies = fft.rfftfreq(n_fft, 1 / rate)
        power = np.abs(spectrum) ** 2 @ self.weights(frequencies, rate).T
        loudest = power.max()
        if loudest == 0:
            return np.zeros_like(power)
        floor = 10 ** (-self.range_db / 10)
        decibels = 10 * np.log10(np.maximum(power / loudest, floor))
        return decibels / self.range_db + 1

    def edges(self, rate: float) -> np.ndarray:
        """Return the frequencies, in Hz, between which bands lie; (n_bands + 2,)."""
        lowest, highest = in_hertz(self.lowest, "lowest"), rate / 2
        if self.highest is not None:
            highest = in_hertz(self.highest, "highest")
        if not lowest < highest <= rate / 2:
            raise ValueError(
                f"'highest' must lie above 'lowest', {lowest} Hz, and not above half "
                f"of the sampling rate, {rate / 2} Hz, got {highest} Hz."
            )
        mels = np.linspace(to_mel(lowest), to_mel(highest), self.n_bands + 2)
        return 700 * (10 ** (mels / 2595) - 1)

    def weights(self, frequencies: np.ndarray, rate: float) -> np.ndarray:
        """Return what each band takes of each frequency; (n_bands, n_frequencies).

        Raises
        ------
        ValueError
            If a band is so narrow that it takes none.
        """
        edges = self.edges(rate)
        low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
        rising = (frequencies - low) / (centre - low)
        falling = (high - frequencies) / (high - centre)
        weights = np.maximum(np.minimum(rising, falling), 0)
        if not weights.any(axis=1).all():
            raise ValueError(
                f"'n_bands' must be less than {self.n_bands} with a window of "
                f"{self.window!s}, in which some bands hold no frequency; choose a "
                "longer 'window' or a higher 'lowest'."
            )
        return weights

    def _samples(self, time, rate, name):
        seconds = positive_seconds(time, name)
        n_samples = round(seconds * rate)
        if abs(n_samples - seconds * rate) > 1e-6 or n_samples < 2:
            raise ValueError(
                f"'{name}' must be a whole number of samples at {rate:g} Hz, two at "
                f"least, got {seconds} s, which are {seconds * rate:g}."
            )
        return n_samples


def to_mel(frequency):
    """Return frequencies, in Hz, on the mel scale."""
    return 2595 * np.log10(1 + frequency / 700)
