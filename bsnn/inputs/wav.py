"""Sound in WAV files: mono, PCM, all of one sampling rate."""

from __future__ import annotations

import struct
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bsnn.errors import DataError

# Of a sample of so many bytes: what kind it is, where its zero lies, and its largest.
KINDS = {1: ("u1", 128, 128), 2: ("<i2", 0, 1 << 15), 4: ("<i4", 0, 1 << 31)}


class Header(NamedTuple):
    """What a WAV file says of its sound."""

    rate: int
    n_frames: int
    width: int


def read_header(path: Path) -> Header:
    """Return what a WAV file says it holds, where that is what is in it.

    Raises
    ------
    DataError
        If it is missing or damaged, empty, not mono, or of another kind than PCM.
    """
    with _opened(path) as file:
        return _header(file, path)


def read_wave(path: Path) -> tuple[np.ndarray, int]:
    """Return the wave (n,), float64 in -1..1, and the sampling rate of a WAV file.

    No more is read than the file holds.

    Raises
    ------
    DataError
        As `read_header`.
    """
    with _opened(path) as file:
        header = _header(file, path)
        data = file.readframes(header.n_frames)
    if len(data) != header.n_frames * header.width:
        raise DataError(
            f"{path} must hold {header.n_frames} samples, got "
            f"{len(data) // header.width}; it is truncated, fetch it again."
        )
    kind, zero, largest = KINDS[header.width]
    return (np.frombuffer(data, kind).astype(float) - zero) / largest, header.rate


class WaveFiles:
    """The samples in WAV files, read when they are taken; headers are read at once.

    Parameters
    ----------
    paths : sequence of Path
    mel : Mel
        How codes that do not hear see them.

    Attributes
    ----------
    rate : int
        Of all of them, Hz.
    longest : float
        Seconds.

    Raises
    ------
    DataError
        If a file cannot be read, or has another sampling rate than the first.
    """

    def __init__(self, paths: Sequence[Path], mel):
        if not paths:
            raise DataError("'paths' must name WAV files, got none.")
        self.paths, self.mel = [Path(path) for path in paths], mel
        headers = [read_header(path) for path in self.paths]
        self.rate = headers[0].rate
        for path, header in zip(self.paths, headers, strict=True):
            self._check_rate(path, header.rate)
        self.longest = max(header.n_frames for header in headers) / self.rate

    def __len__(self):
        return len(self.paths)

    def take(self, places):
        """Return the sound of some samples."""
        from .waves import Waves  # `bsnn doctor` loads data sets without Brian2

        waves = []
        for path in (self.paths[int(m)] for m in places):
            samples, rate = read_wave(path)
            self._check_rate(path, rate)  # of a file that may have changed
            waves.append(samples)
        return Waves(waves=waves, rate=self.rate, mel=self.mel, number=places)

    def _check_rate(self, path, rate):
        if rate != self.rate:
            raise DataError(
                f"{path} must have the sampling rate of {self.paths[0].name}, "
                f"{self.rate} Hz, got {rate} Hz; convert it, for example with "
                "scipy.signal.resample_poly or sox."
            )


def _opened(path):
    try:
        return wave.open(str(path), "rb")
    except OSError as error:
        raise DataError(
            f"{path} must be a readable file, got: {error.strerror}; put the file "
            "there, or name another data folder (--data-dir or BSNN_DATA)."
        ) from error
    except (wave.Error, EOFError, struct.error, RuntimeError, ValueError) as error:
        raise DataError(
            f"{path} must be an intact WAV file of plain PCM, got: "
            f"{str(error) or 'an early end'}; fetch it again, or convert it."
        ) from error


def _header(file, path):
    rate, n_frames, width = file.getframerate(), file.getnframes(), file.getsampwidth()
    if file.getnchannels() != 1:
        raise DataError(
            f"{path} must be mono, got {file.getnchannels()} channels; mix them down, "
            "for example with sox."
        )
    if width not in KINDS or rate < 1:
        raise DataError(
            f"{path} must hold samples of 8, 16 or 32 bits at a positive rate, got "
            f"{8 * width} bits at {rate} Hz; convert it."
        )
    there = path.stat().st_size
    if n_frames * width > there:  # before memory is reserved
        raise DataError(
            f"{path} must hold {n_frames} samples as it says, got a file of {there} "
            "bytes; it is truncated, fetch it again."
        )
    if not n_frames:
        raise DataError(f"{path} must hold sound, got none; leave it out.")
    return Header(rate, n_frames, width)
