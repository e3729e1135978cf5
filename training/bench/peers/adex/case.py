"""What a peer is given: a chain, of whose neurons `adex` holds the other constants."""

from bsnn.training.bench.peers.case import Case

__all__ = ["Case"]
