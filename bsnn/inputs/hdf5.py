"""Events in HDF5 files, in the layout of the Heidelberg data sets SHD and SSC.

``spikes/times`` and ``spikes/units`` have a row for each sample, of any length: seconds
since its start, and channels from 0. ``labels`` has a number for each sample.

References
----------
Cramer, Stradmann, Schemmel & Zenke 2022, doi:10.1109/TNNLS.2020.3044364.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
from pathlib import Path

import numpy as np

from bsnn.errors import BackendUnavailable, DataError
from bsnn.processes.children import python_command, python_environment

from .hdf5_scan import LABELS, TIMES, UNITS

N_CHANNELS = 700  # of SHD and SSC, whatever a part of them uses


class EventFile:
    """The samples of an HDF5 file, of which only those that are taken are in memory.

    All of it is read once, to check it and to find its longest sample.

    Parameters
    ----------
    path : Path
    allow_empty : bool
        Whether a sample may have no events.

    Attributes
    ----------
    labels : ndarray, shape (n_samples,), int64
    last : float
        Time of the last event of any sample, seconds.
    n_channels : int
        One more than the largest channel.

    Raises
    ------
    BackendUnavailable
        If h5py is not installed.
    DataError
        If the file is missing or damaged, or holds anything else.
    """

    def __init__(self, path: Path, *, allow_empty: bool = False):
        self.path = Path(path)
        self._version = self._read_version()
        found = scan_apart(self.path)
        if found["empty"] is not None and not allow_empty:
            raise DataError(
                f"{path} has no events in sample {found['empty']}; leave it out, or "
                "say allow_empty=True if silence is meant."
            )
        self.last, self.n_channels = found["last"], found["n_channels"]
        self.n_events = found["n_events"]
        with self._opened() as file:
            self.labels = file[LABELS][:].astype(np.int64)

    def __len__(self):
        return len(self.labels)

    def take(self, places):
        """Return the events of some samples."""
        from .events import Events  # `bsnn doctor` loads data sets without Brian2

        # The library wants rows in rising order, none twice.
        rows, place = np.unique(places, return_inverse=True)
        with self._opened() as file:
            times, units = (file[name][rows] for name in (TIMES, UNITS))
        return Events(
            time=np.concatenate([times[k] for k in place], dtype=float),
            channel=np.concatenate([units[k] for k in place], dtype=np.int64),
            offset=np.cumsum([0, *(len(times[k]) for k in place)]),
            n_channels=self.n_channels,
            number=np.asarray(places),
        )

    def _opened(self):
        import h5py

        if self._read_version() != self._version:
            raise DataError(
                f"{self.path} has changed since it was opened; load it again."
            )
        try:
            return h5py.File(self.path, "r")
        except OSError as error:
            raise DataError(f"{self.path} cannot be read again ({error}).") from error

    def _read_version(self):
        try:
            state = os.stat(self.path)
        except OSError as error:
            raise DataError(
                f"{self.path} must be a readable file, got: {error.strerror}; put the "
                "file there, or name another data folder (--data-dir or BSNN_DATA)."
            ) from error
        return state.st_size, state.st_mtime_ns


def scan_apart(path: Path, scan="bsnn.inputs.hdf5_scan", extra="data") -> dict:
    """Return what a module's scan finds in a file, in a process that may loop or die.

    Parameters
    ----------
    path : Path
    scan : str
        Module that is run with the path, and writes a line of JSON; see `hdf5_scan`.
    extra : str
        What of bsnn's extras installs h5py, for the error message.

    Raises
    ------
    BackendUnavailable, DataError
        As `EventFile`.
    """
    if importlib.util.find_spec("h5py") is None:
        raise BackendUnavailable(
            f"{path} is an HDF5 file, and h5py is not installed; "
            f"pip install 'bsnn[{extra}]'."
        )
    done = subprocess.run(
        python_command("-m", scan, str(path)),
        capture_output=True,
        # Threads would reserve memory, which is bounded.
        env={**python_environment(), "OPENBLAS_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
    )
    try:
        found = json.loads(done.stdout)
    except ValueError as error:
        raise DataError(
            f"{path} must be an intact HDF5 file, but the HDF5 library fails on it "
            f"(its process ended with {done.returncode}); fetch it again."
        ) from error
    if "error" in found:
        raise DataError(f"{path} {found['error']}")
    return found


def read_folder(folder: Path, name: str):
    """Return the data set of ``*_train.h5`` and ``*_test.h5`` in a folder.

    Those of a ``*_valid.h5``, as SSC has it, are its own for validation.

    Raises
    ------
    BackendUnavailable
        If h5py is not installed.
    DataError
        If a file is missing, not the only one, or cannot be read.
    """
    from .sizes import next_millisecond
    from .timed_dataset import TimedDataset

    files = [EventFile(path) for path in find_files(folder)]
    n_channels = max(part.n_channels for part in files)
    if is_heidelberg(name):
        n_channels = max(n_channels, N_CHANNELS)
    for part in files:
        part.n_channels = n_channels
    train, test, *own = files
    validation = {}
    if own:
        validation = {"validation": own[0], "validation_labels": own[0].labels}
    return TimedDataset(
        name=name,
        title={"shd": "SHD", "ssc": "SSC"}.get(name.lower(), name),
        train=train,
        train_labels=train.labels,
        test=test,
        test_labels=test.labels,
        n_inputs=n_channels,
        **validation,
        n_classes=int(max(part.labels.max() for part in files)) + 1,
        duration=next_millisecond(max(part.last for part in files)),
    )


def is_heidelberg(name):
    return name.lower() in ("shd", "ssc")


def has_files(folder: Path) -> bool:
    """Return whether a folder holds files of events for training or testing."""
    return any(
        any(folder.glob(f"*_{split}.h5{end}"))
        for split in ("train", "test")
        for end in ("", ".gz", ".zip")
    )


def find_files(folder: Path) -> list[Path]:
    """Return the files for training and testing in a folder, and for validation if any.

    DataError unless there is one of each.
    """
    found = []
    for split in ("train", "test", "valid"):
        if split == "valid" and not any(folder.glob("*_valid.h5*")):
            continue
        paths = sorted(folder.glob(f"*_{split}.h5"))
        if len(paths) != 1:
            packed = any(folder.glob(f"*_{split}.h5.*"))
            remedy = "unpack it" if packed else "put it there"
            got = ", ".join(path.name for path in paths) or "none"
            raise DataError(
                f"{folder} must hold one file *_{split}.h5, got {got}; "
                f"{remedy if not paths else 'leave one'}."
            )
        found += paths
    return found
