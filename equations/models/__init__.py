"""Neurons that are ready to use, one page each; a user's own is the same thing."""

from .adex import adex
from .alif import alif
from .coba_lif import coba_lif
from .cuba import cuba
from .hodgkin_huxley import hodgkin_huxley
from .izhikevich import izhikevich
from .lif import lif
from .qif import qif

__all__ = [
    "adex",
    "alif",
    "coba_lif",
    "cuba",
    "hodgkin_huxley",
    "izhikevich",
    "lif",
    "qif",
]
