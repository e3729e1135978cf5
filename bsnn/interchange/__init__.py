"""Spikes and networks from and to the files of others, and our own."""

from typing import TYPE_CHECKING

from bsnn.lazy import lazy_names

if TYPE_CHECKING:  # what editors complete
    from .nir import from_nir as from_nir
    from .nir import read_nir as read_nir
    from .nir import to_nir as to_nir
    from .nir import write_nir as write_nir

_HOME = {
    "from_nir": ".nir",
    "read_nir": ".nir",
    "to_nir": ".nir",
    "write_nir": ".nir",
}
__all__ = [*_HOME]
__getattr__, __dir__ = lazy_names(__name__, _HOME)
