"""A resident program: one generated simulator, alive, fed through shared memory."""

import contextlib
import fcntl
import math
import os
import socket
import struct
import subprocess
import tempfile
import time
import weakref

import numpy as np

from bsnn.errors import ProgramError
from bsnn.processes.forks import KeptMemory

# As in native/protocol.h.
MAGIC = 0x3330306E6E736200
REQUEST = struct.Struct("<QqqqdQQ")
ANSWER = struct.Struct("<Qqqd")
ALIGNMENT = 64
STDERR_KEPT = 1 << 16  # bytes of a program's last words


def aligned(n_bytes):
    """Return the room of a block of `n_bytes`: whole cache lines, a gap at the end."""
    return (n_bytes // ALIGNMENT + 1) * ALIGNMENT


class Segment:
    """Nameless shared memory: private to these processes, gone with the last one.

    Parameters
    ----------
    n_bytes : int
    n_kept : int
        Bytes at its beginning in which arrays are kept; a forked child has its own.
    """

    def __init__(self, n_bytes, n_kept=0):
        if hasattr(os, "memfd_create"):
            self.fd = os.memfd_create("bsnn", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            # A program that shortened it would make our next access a crash.
            fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        else:
            with tempfile.TemporaryFile() as file:
                self.fd = os.dup(file.fileno())
        self._end = weakref.finalize(self, os.close, self.fd)
        os.fchmod(self.fd, 0o600)
        self.n_bytes, self._n_kept = 0, n_kept
        self.reserve(n_bytes)

    def reserve(self, n_bytes):
        """Make the segment at least `n_bytes` long."""
        if n_bytes > self.n_bytes:
            os.ftruncate(self.fd, n_bytes)
            self.remap(n_bytes)

    def remap(self, n_bytes):
        """Follow a change of length made by the other side."""
        if n_bytes != self.n_bytes:
            memory = KeptMemory(self.fd, n_bytes)
            if self._n_kept:
                memory.keep(self._n_kept)
            self.memory, self.n_bytes = np.frombuffer(memory, np.uint8), n_bytes

    def view(self, at, dtype, shape):
        """Return an array in the segment, beginning at byte `at`."""
        size = math.prod(shape)
        if size < 0:
            raise ValueError(f"{size} numbers cannot be viewed.")
        array = np.frombuffer(self.memory, dtype, size, at)  # raises beyond the end
        return array if len(shape) == 1 else array.reshape(shape)

    def close(self):
        self._end()
        self.fd = self.memory = None


class ResidentProgram:
    """One process that runs a compiled model on request.

    Parameters
    ----------
    folder : Path
        What a target's `build` returned.
    form : ChainForm or GraphForm
        How a batch is written for the program, and its answer read.
    weights : Segment
        Shared by all programs of a simulator.
    timeout : float
        Seconds after which a batch counts as hung.
    core : int, optional
        The only core to run on.

    Attributes
    ----------
    seconds : float
        What simulating the last batch took the process, without the exchange.
    """

    def __init__(self, folder, form, weights, timeout, core=None):
        self.seconds = 0.0
        self._form, self._batch = form, None
        self._timeout, self._process = timeout, None
        self._exchange = Segment(1 << 20)
        self._stderr = tempfile.TemporaryFile()
        self._socket, theirs = socket.socketpair()
        try:
            self._start(folder, weights, theirs)
            self._schedule(core)
        except BaseException as error:
            self.close()
            if not isinstance(error, OSError):
                raise
            raise ProgramError(
                f"the simulation program {folder / 'main'} cannot be started "
                f"({error}); if it is damaged, delete its folder: it is built again."
            ) from error

    def _start(self, folder, weights, theirs):
        with theirs:
            descriptors = {
                "BSNN_SOCKET": theirs.fileno(),
                "BSNN_WEIGHTS": weights.fd,
                "BSNN_EXCHANGE": self._exchange.fd,
            }
            # A session of its own: Ctrl-C is for the parent, which then closes it.
            self._process = subprocess.Popen(
                [folder / "main"],
                cwd=folder,
                env={**os.environ, **{k: str(fd) for k, fd in descriptors.items()}},
                pass_fds=tuple(descriptors.values()),
                stdin=subprocess.DEVNULL,
                stdout=self._stderr,
                stderr=self._stderr,
                start_new_session=True,
            )

    def _schedule(self, core):
        """Keep programs apart, and let them begin once their caller waits.

        A kernel may otherwise run them one after another on the caller's core, or halt
        the caller in favour of the first before it has told the second.
        """
        if not hasattr(os, "SCHED_BATCH"):
            return
        with contextlib.suppress(OSError):  # refused, or the program has died
            os.sched_setscheduler(self.pid, os.SCHED_BATCH, os.sched_param(0))
            if core is not None:
                os.sched_setaffinity(self.pid, [core])

    @property
    def pid(self):
        return self._process.pid

    def send(self, *batch):
        """Start on a batch, as its form takes it; collect the answer with `receive`."""
        n_samples, n_steps, n_inputs, dt, weights_at = self._form.write(
            self._exchange, *batch
        )
        self._batch = batch
        self._deadline = time.monotonic() + self._timeout
        n_bytes = self._exchange.n_bytes
        request = REQUEST.pack(
            MAGIC, n_samples, n_steps, n_inputs, dt, n_bytes, weights_at
        )
        try:
            self._socket.settimeout(self._timeout)
            self._socket.sendall(request)
        except OSError as error:
            raise self._failure("died") from error

    def receive(self):
        """Wait for the answer and return it as its form reads it.

        Its arrays lie in the shared memory and hold until the next batch is sent.
        """
        try:
            # What was sent meanwhile is there even if the time is over.
            self._socket.settimeout(max(self._deadline - time.monotonic(), 1e-3))
            # One byte more than an answer has, so that a longer one is noticed.
            answer = self._socket.recv(ANSWER.size + 1)
        except TimeoutError as error:
            raise self._failure(f"gave no answer for {self._timeout:g} s") from error
        except OSError as error:
            raise self._failure("died") from error
        if not answer:
            raise self._failure("died")
        if len(answer) != ANSWER.size:
            raise self._failure(f"sent an answer of {len(answer)} bytes")
        magic, n_bytes, at, self.seconds = ANSWER.unpack(answer)
        there = os.fstat(self._exchange.fd).st_size
        if magic != MAGIC or not self._exchange.n_bytes <= n_bytes <= there:
            raise self._failure("sent an answer that makes no sense")
        self._exchange.remap(n_bytes)
        try:
            return self._form.read(self._exchange, at, *self._batch)
        except ValueError as error:
            raise self._failure(f"left damaged records ({error})") from error

    def _failure(self, what):
        self._process.kill()
        code = self._process.wait()
        length = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(length - STDERR_KEPT, 0))
        return ProgramError(
            f"the simulation program {what} (exit code {code}).",
            self._stderr.read().decode(errors="replace"),
        )

    def close(self):
        """End the process; it stops by itself when its socket closes."""
        with contextlib.suppress(OSError):  # the program has closed it
            # A process that was forked since may hold the socket as well.
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        if self._process is not None:
            try:
                self._process.wait(timeout=1)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._let_go()

    def abandon(self):
        """In a forked child, let go of the parent's program, which goes on."""
        self._socket.close()
        if self._process is not None:
            self._process.returncode = 0  # it is not for us to wait for
        self._let_go()

    def _let_go(self):
        self._stderr.close()
        self._exchange.close()
        self._process = None
