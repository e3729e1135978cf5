"""Calls of one object from several places, one after another."""

from __future__ import annotations

import contextlib
import functools
import threading
from abc import ABC, abstractmethod


class Turns(ABC):
    """Owns processes or threads, which end when nothing refers to it any more.

    Close it, or use it in a ``with`` block, and they end at once. Threads may share it:
    calls take turns. A forked child, and a copy, have processes or threads of their
    own.

    Parameters
    ----------
    *given, **options
        With which the same object is made again.
    """

    def __init__(self, *given, **options):
        self._given, self._options = given, options
        self._lock, self._busy, self._closed = threading.RLock(), False, False

    def __reduce__(self):
        return functools.partial(type(self), *self._given, **self._options), ()

    @property
    def closed(self) -> bool:
        return self._closed

    def turn(self) -> contextlib.AbstractContextManager:
        """Return a context in which no call of another thread begins.

        Weights that other threads simulate are changed within it.
        """
        return self._lock

    @contextlib.contextmanager
    def _call(self):
        """Wait for the turn of a call, and be busy meanwhile."""
        with self._lock:
            if self._closed:
                raise closed_error(type(self).__name__)
            if self._busy:
                raise RuntimeError(
                    "'run' was called in the middle of another call of this thread, as "
                    "by a signal handler; call it when the other has returned."
                )
            self._busy = True
            try:
                yield
            finally:
                self._busy = False
                if self._closed:
                    self._release()

    @abstractmethod
    def _release(self):
        """Let go of processes, threads and shared memory; may be called twice."""

    def close(self) -> None:
        """Release processes, threads and shared memory; may be called twice.

        Calls of other threads finish first.
        """
        with self._lock:
            self._closed = True
            if not self._busy:  # or else, in a signal handler, at the call's end
                self._release()

    def after_fork(self) -> None:
        """Begin anew in a forked child: whoever held the lock is not there.

        Simulators tell of themselves with `tell_of_forks`.
        """
        self._lock, self._busy = threading.RLock(), False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def closed_error(name):
    """Return what to raise where something closed is used."""
    return RuntimeError(
        f"this {name} has been closed; close it, or leave its 'with' block, after its "
        "last use. A copy of it (copy.deepcopy) is open."
    )
