"""Recorded spikes in an npz file, read without trusting it."""

import operator
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import numpy as np

from bsnn.errors import RunFolderError
from bsnn.files import replacing
from bsnn.spikes import Spikes

MAX_UNPACKED = 256 << 20  # bytes of recorded spikes; a training writes some megabytes
_LAYER_ARRAYS = ("neuron", "offset", "step", "time", "slope")


def save_spikes(path, layers, labels):
    """Write the `Spikes` of all layers of some samples, and their labels, to one npz.

    Layer k's arrays are ``neuron_k``, ``offset_k``, ``step_k`` and ``time_k`` where the
    rule has them, and ``state_k_v`` and the like.
    """
    arrays = {
        "labels": np.asarray(labels),
        "n_neurons": np.array([layer.n_neurons for layer in layers]),
        "dt": np.array(layers[0].dt),
    }
    for k, layer in enumerate(layers):
        for name in _LAYER_ARRAYS:
            if getattr(layer, name) is not None:
                arrays[f"{name}_{k}"] = getattr(layer, name)
        for name, values in layer.state.items():
            arrays[f"state_{k}_{name}"] = values
    with replacing(path, "wb") as file:
        np.savez_compressed(file, **arrays)


def load_spikes(path):
    """Return (layers, labels) as `save_spikes` wrote them.

    Raises
    ------
    RunFolderError
        If the file is missing, damaged or not of this kind, or unpacks to more than
        `MAX_UNPACKED` bytes; nothing in it is executed.
    """
    try:
        arrays = _read_npz(path)
        sizes, labels = arrays["n_neurons"].tolist(), arrays["labels"]
        layers = []
        for k, size in enumerate(sizes):
            state = f"state_{k}_"
            layers.append(
                Spikes(
                    n_neurons=operator.index(size),
                    dt=arrays["dt"].item(),
                    state={
                        name.removeprefix(state): values
                        for name, values in arrays.items()
                        if name.startswith(state)
                    },
                    **{n: arrays.get(f"{n}_{k}") for n in _LAYER_ARRAYS},
                )
            )
        _check_spikes(layers, labels)
        return layers, labels
    except Exception as error:  # zipfile, zlib and numpy raise many kinds
        raise RunFolderError(
            f"{path} cannot be read as spikes ({error}); delete its folder and train "
            "again."
        ) from error


def _check_spikes(layers, labels):
    if not layers or not len(labels) or labels.dtype.kind not in "iu":
        raise ValueError("it must hold a layer, and int labels")
    for layer in layers:
        if labels.shape != (layer.n_samples,):
            raise ValueError("it must hold one label for each sample")
        if not 0 < 8 * layer.n_samples * layer.n_neurons <= MAX_UNPACKED:  # its counts
            raise ValueError(f"a layer must not have {layer.n_neurons} neurons")


def _read_npz(path):
    """Return the arrays of an npz file as a dict, reading no more than is bounded."""
    arrays = {}
    with ZipFile(path) as archive:
        members = archive.infolist()
        declared = sum(member.file_size for member in members)
        if declared > MAX_UNPACKED:
            raise ValueError(
                f"it unpacks to {declared} bytes, not {MAX_UNPACKED} at most"
            )
        # The others of zipfile unpack without a limit.
        if not {m.compress_type for m in members} <= {ZIP_STORED, ZIP_DEFLATED}:
            raise ValueError("it is packed in another way than bsnn's")
        for member in members:
            with archive.open(member) as stream:
                if np.lib.format.read_magic(stream) != (1, 0):
                    raise ValueError(f"{member.filename!r} is no array")
                header = np.lib.format.read_array_header_1_0(stream)
                shape, in_columns, dtype = header
                # np.load would reserve what the header declares, and reading without a
                # size unpack all there is, whatever the archive declares.
                content = stream.read(member.file_size)
                flat = np.frombuffer(bytearray(content), dtype)
            order = "F" if in_columns else "C"
            name = member.filename.removesuffix(".npy")
            arrays[name] = flat.reshape(shape, order=order)
    return arrays
