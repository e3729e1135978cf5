"""Read all of a file of NIR, in a process of its own, with bounds on memory and time.

    python -m bsnn.interchange.nir_scan FILE

See `bsnn.inputs.hdf5_scan`, to which it is the same for graphs. Writes a line of JSON.
"""

import sys

import numpy as np

from bsnn.inputs.hdf5_scan import BadFileError, main

MAX_ITEMS, MAX_DEPTH = 100_000, 16
MAX_BYTES = 2 << 30  # of all arrays together
TYPES = (
    *("Affine", "AvgPool2d", "Conv1d", "Conv2d", "CubaLI", "CubaLIF", "Delay"),
    *("Flatten", "I", "IF", "Input", "LI", "LIF", "Linear", "NIRGraph", "Output"),
    *("Scale", "SumPool2d", "Threshold"),
)


def scan(path):
    """Return how much a file of NIR holds, as a dict.

    Raises
    ------
    BadFileError
        If it has another layout, is too large, or leads out of itself.
    """
    import h5py

    found = {"n_items": 0, "n_bytes": 0}
    with h5py.File(path, "r") as file:
        if not isinstance(file.get("node"), h5py.Group):
            there = ", ".join(list(file)[:10]) or "nothing"
            raise BadFileError(
                f"must hold a group 'node', got {there}; it is no file of NIR."
            )
        _walk(h5py, file["node"], found, 0)
        if _type(h5py, file["node"]) != "NIRGraph":
            raise BadFileError("must hold a graph of NIR, got a single node.")
    return found


def _walk(h5py, group, found, depth):
    if depth > MAX_DEPTH:
        raise BadFileError(f"must not nest groups deeper than {MAX_DEPTH}.")
    for name in group:
        found["n_items"] += 1
        if found["n_items"] > MAX_ITEMS:
            raise BadFileError(f"must not hold more than {MAX_ITEMS} items.")
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise BadFileError(f"must hold {name!r} itself, not a link to elsewhere.")
        item = group[name]
        if isinstance(item, h5py.Group):
            kind = _type(h5py, item)
            if kind is not None and kind not in TYPES:
                raise BadFileError(f"must hold nodes of NIR, got {kind[:40]!r}.")
            _walk(h5py, item, found, depth + 1)
        else:
            _read(h5py, item, found)


def _read(h5py, item, found):
    if not isinstance(item, h5py.Dataset) or item.external or item.is_virtual:
        raise BadFileError(f"must hold '{item.name}' itself, as numbers or text.")
    text = h5py.check_string_dtype(item.dtype) is not None
    if not text and item.dtype.kind not in "iufb":
        raise BadFileError(
            f"must hold '{item.name}' as numbers or text, got {item.dtype}."
        )
    found["n_bytes"] += int(np.prod(item.shape or (1,))) * item.dtype.itemsize
    if found["n_bytes"] > MAX_BYTES:
        raise BadFileError(f"must not hold more than {MAX_BYTES >> 20} MiB.")
    item[()]


def _type(h5py, group):
    """Return what kind of node a group is; None if it does not say."""
    kind = group.get("type")
    if not isinstance(kind, h5py.Dataset) or kind.shape != ():
        return None
    value = kind[()]
    return value.decode("utf8", "replace") if isinstance(value, bytes) else None


if __name__ == "__main__":
    main(sys.argv[1], scan)
