"""Read all of an HDF5 file of events, in a process of its own, and say what is in it.

    python -m bsnn.inputs.hdf5_scan FILE

The HDF5 library trusts what it reads: a damaged file can make it loop, die or reserve
any amount of memory. So a file is read here first, with bounds on memory and time; what
got through is read again by bsnn's own process. Writes a line of JSON.
"""

import json
import resource
import sys
from pathlib import Path

import numpy as np

TIMES, UNITS, LABELS = "spikes/times", "spikes/units", "labels"
MAX_SAMPLES = 10_000_000
ROWS = 64  # read together
MEMORY = 4 << 30  # bytes
SECONDS, BYTES_A_SECOND = 5, 1_000_000  # of processor time: what any file may take


class BadFileError(Exception):
    """What is wrong with the file, and the remedy."""


def scan(path):
    """Return what a file of events holds, as a dict.

    Raises
    ------
    BadFileError
        If it has another layout or values that cannot be.
    """
    import h5py

    with h5py.File(path, "r") as file:
        times, units, labels = (_dataset(file, n) for n in (TIMES, UNITS, LABELS))
        _check_kinds(h5py, times, units, labels)
        n_samples = len(labels)
        found = {"n_samples": n_samples, "last": 0.0, "n_channels": 0, "n_events": 0}
        found |= {"empty": None, "size": Path(path).stat().st_size}
        label = _labels(labels)
        found |= {"low_label": int(label.min()), "high_label": int(label.max())}
        for at in range(0, n_samples, ROWS):
            rows = zip(times[at : at + ROWS], units[at : at + ROWS], strict=True)
            for m, (time, unit) in enumerate(rows, start=at):
                _add(found, m, time, unit)
        return found


def _dataset(file, name):
    import h5py

    found = file.get(name)
    if not isinstance(found, h5py.Dataset):
        there = ", ".join(list(file)[:10]) or "nothing"
        raise BadFileError(
            f"must hold a data set '{name}', got {there}; it is no file in the layout "
            "of SHD."
        )
    if found.external or found.is_virtual or found.file.filename != file.filename:
        raise BadFileError(f"must hold '{name}' itself, not a link to another file.")
    if len(found.shape or ()) != 1:
        raise BadFileError(
            f"must hold '{name}' with one row for each sample, got shape {found.shape}."
        )
    return found


def _check_kinds(h5py, times, units, labels):
    for data, kinds in ((times, "f"), (units, "iu")):
        base = h5py.check_vlen_dtype(data.dtype)
        if base is None or np.dtype(base).kind not in kinds:
            wanted = "float, seconds" if kinds == "f" else "int"
            raise BadFileError(
                f"must hold '{data.name[1:]}' as rows of any length of {wanted}, got "
                f"{base or data.dtype}."
            )
    if labels.dtype.kind not in "iu":
        raise BadFileError(f"must hold 'labels' of int, got {labels.dtype}.")
    if not 0 < len(labels) <= MAX_SAMPLES:
        raise BadFileError(f"must hold 1 to {MAX_SAMPLES} labels, got {len(labels)}.")
    if not len(times) == len(units) == len(labels):
        raise BadFileError(
            "must hold as many rows of times and units as labels, got "
            f"{len(times)}, {len(units)} and {len(labels)}; write it again."
        )


def _labels(labels):
    values = labels[:]
    if values.min() < 0 or values.max() >= 2**31:
        raise BadFileError(
            f"must hold labels from 0, got {values.min()}..{values.max()}."
        )
    return values


def _add(found, m, time, unit):
    if len(time) != len(unit):
        raise BadFileError(
            f"must hold as many times as units, got {len(time)} and {len(unit)} of "
            f"sample {m}; write it again."
        )
    if not len(time):
        found["empty"] = m if found["empty"] is None else found["empty"]
        return
    low, high = float(time.min()), float(time.max())
    if not 0 <= low <= high < np.inf:  # not so if one is NaN
        raise BadFileError(
            f"must hold times in seconds from the start of a sample, got {low}..{high} "
            f"of sample {m}."
        )
    if unit.min() < 0 or unit.max() >= 2**31 - 1:
        raise BadFileError(
            f"must hold units from 0, got {unit.min()}..{unit.max()} of sample {m}."
        )
    found["last"] = max(found["last"], high)
    found["n_channels"] = max(found["n_channels"], int(unit.max()) + 1)
    found["n_events"] += len(time)


def _bound(path):
    """Bound what this process may take; never more than it may already."""
    seconds = SECONDS + Path(path).stat().st_size // BYTES_A_SECOND
    for what, most in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(what)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (most, most))


def main(path, scan=scan):
    """Write what `scan` returns, or raises, of a file as a line of JSON."""
    _bound(path)
    try:
        found = scan(path)
    except BadFileError as error:
        found = {"error": str(error)}
    except Exception as error:  # whatever the library calls it
        said = " ".join(str(error).split())
        found = {"error": f"must be an intact HDF5 file, got: {said}; fetch it again."}
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
