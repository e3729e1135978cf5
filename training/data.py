"""Encoded samples for torch's ``DataLoader``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from bsnn.inputs.samples import Samples
from bsnn.spikes import Spikes


class EncodedSamples(torch.utils.data.Dataset):
    """Samples with their labels, one after another, to be put together by `collate`.

    Parameters
    ----------
    samples : Samples
        Such as ``dataset.samples("train", encode, model)``.

    Examples
    --------
    >>> samples = dataset.samples("train", bsnn.encode_ttfs, model)
    >>> loader = DataLoader(EncodedSamples(samples), 50, shuffle=True,
    ...                     collate_fn=collate)
    >>> for spikes, labels in loader: ...
    """

    def __init__(self, samples: Samples):
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, m: int):
        """Return the spikes of one sample, or its currents, and its label."""
        m = range(len(self))[m]  # counts from the end, and ends iteration
        return self.samples.spikes(np.array([m])), int(self.samples.labels[m])


def collate(batch: Sequence[tuple]):
    """Put samples together to a batch, as ``collate_fn`` of a ``DataLoader``.

    Parameters
    ----------
    batch : sequence of (inputs, label)
        Inputs of one sample or more each: `Spikes`, an array or tensor whose first axis
        is the samples', or a mapping of names to them.

    Returns
    -------
    inputs : Spikes, ndarray or dict
        Of all samples, in their order.
    labels : tensor, shape (n_samples,), int64

    Raises
    ------
    TypeError
        If inputs are of another kind, or of different kinds.
    ValueError
        If there are none, or they are not of one layer.
    """
    if not batch:
        raise ValueError("'batch' must hold samples, got none.")
    inputs, labels = zip(*batch, strict=True)
    return _together(inputs), torch.as_tensor(np.ravel(labels), dtype=torch.int64)


def _together(parts):
    kinds = {type(part) for part in parts}
    if len(kinds) > 1:
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise TypeError(f"'batch' must hold inputs of one kind, got {names}.")
    first = parts[0]
    if isinstance(first, Spikes):
        return Spikes.concatenate(parts)
    if isinstance(first, Mapping):
        return {name: _together([part[name] for part in parts]) for name in first}
    if isinstance(first, np.ndarray | torch.Tensor):
        return np.concatenate([np.asarray(part) for part in parts])
    raise TypeError(
        "'batch' must hold pairs of Spikes, arrays or mappings and a label, got "
        f"{type(first).__name__}."
    )
