"""What a forked child must not share with its parent: it is told, and begins anew."""

import ctypes
import mmap
import os
import weakref

import numpy as np

# Of this process; a child cannot ask its parent what there is.
_told = weakref.WeakSet()


def tell_of_forks(thing):
    """Call ``thing.after_fork()`` in every child that is forked while it exists."""
    _told.add(thing)


def _tell():
    for thing in list(_told):
        thing.after_fork()


os.register_at_fork(after_in_child=_tell)

_mmap = ctypes.CDLL(None, use_errno=True).mmap
_mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
_mmap.restype = ctypes.c_void_p
_MAP_FIXED, _MAP_FAILED = 0x10, ctypes.c_void_p(-1).value


class KeptMemory(mmap.mmap):
    """Shared memory whose first `n_kept` bytes are handed out for good.

    A forked child has a private copy of them at the same address: what it writes to the
    weights of a network, say, does not reach its parent, as with all other memory.
    """

    n_kept = 0

    def keep(self, n_bytes):
        self.n_kept = n_bytes
        tell_of_forks(self)

    def after_fork(self):
        content = self[: self.n_kept]
        address = np.frombuffer(self, np.uint8).ctypes.data
        access = mmap.PROT_READ | mmap.PROT_WRITE
        kind = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_FIXED
        if _mmap(address, len(self), access, kind, -1, 0) == _MAP_FAILED:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        self[: self.n_kept] = content
