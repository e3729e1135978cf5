"""Codes: how values become spikes, or currents. A file for each, and a row here.

A code is called as ``code(values, model, **options)`` and returns the `Spikes` of a
batch, that of currents a mapping for the populations that they drive. Of the model, or
of what `Network.entrance` returns, it asks `n_inputs`, `dt_seconds` and
`duration_seconds`. The values are

- images, an array of shape (n_samples, ...) of intensities in 0..255,
- `Series`, numbers over time,
- `Waves`, sound, which for all codes but the cochlea is a `Series` of its mel bands,
- `Events`, which are spikes already.

A code that draws random numbers seeds them, for each sample alone, with its `seed` and
the sample's number, see `bsnn.inputs.numbers`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import NamedTuple


class _Code(NamedTuple):
    module: str
    function: str
    per_feature: int | None  # inputs for each feature; None: any number


_CODES = {
    "first-spike": _Code("bsnn.inputs.encoding", "encode_ttfs", 1),
    "events": _Code("bsnn.inputs.codes.events", "encode_events", 1),
    "rate": _Code("bsnn.inputs.codes.rate", "encode_rate", 1),
    "population": _Code("bsnn.inputs.codes.population", "encode_population", None),
    "delta": _Code("bsnn.inputs.codes.delta", "encode_delta", 2),
    "cochlea": _Code("bsnn.inputs.codes.cochlea", "encode_cochlea", None),
    "currents": _Code("bsnn.inputs.codes.currents", "encode_currents", 0),
}
NAMES = tuple(_CODES)


def named(name: str) -> Callable:
    """Return the code of a name.

    Raises
    ------
    ValueError
        If there is none.
    """
    code = _find(name)
    return getattr(importlib.import_module(code.module), code.function)


def n_inputs(name: str, n_features: int) -> int | None:
    """Return how many inputs a code needs for some features; None if that is free.

    Raises
    ------
    ValueError
        If there is no such code.
    """
    per_feature = _find(name).per_feature
    return None if per_feature is None else per_feature * n_features


def _find(name):
    if name not in NAMES:
        raise ValueError(f"'code' must be one of {', '.join(NAMES)}, got {name!r}.")
    return _CODES[name]
