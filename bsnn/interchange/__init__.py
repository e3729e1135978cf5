"""Spikes and networks from and to the files of others, and our own."""

from typing import TYPE_CHECKING

from bsnn.lazy import lazy_names

if TYPE_CHECKING:  # what editors complete
    from .neo import from_neo as from_neo
    from .neo import to_neo as to_neo
    from .nir import from_nir as from_nir
    from .nir import read_nir as read_nir
    from .nir import to_nir as to_nir
    from .nir import write_nir as write_nir
    from .nwb import write_nwb as write_nwb
    from .recording import Recording as Recording

_HOME = {
    "Recording": ".recording",
    "from_neo": ".neo",
    "from_nir": ".nir",
    "read_nir": ".nir",
    "to_neo": ".neo",
    "to_nir": ".nir",
    "write_nir": ".nir",
    "write_nwb": ".nwb",
}
__all__ = [*_HOME]
__getattr__, __dir__ = lazy_names(__name__, _HOME)
