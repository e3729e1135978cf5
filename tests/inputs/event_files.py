"""Write HDF5 files in the layout of SHD, by its description."""

import numpy as np


def write_events(path, rows, labels, *, time_kind=np.float16, unit_kind=np.uint16):
    """Write (times, units) of each sample."""
    import h5py

    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for k, (name, kind) in enumerate((("times", time_kind), ("units", unit_kind))):
            data = file.create_dataset(
                f"spikes/{name}", (len(rows),), dtype=h5py.vlen_dtype(kind)
            )
            for m, row in enumerate(rows):
                data[m] = np.asarray(row[k], kind)
        file["labels"] = np.asarray(labels)
        file["extra/speaker"] = np.zeros(len(rows), np.uint16)  # as SHD has more
