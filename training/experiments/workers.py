"""Worker processes: one task after another on one core, never outliving the parent.

Parent and worker share a socket. When the parent ends, however it ends, the kernel
closes its side, and the worker kills its own process group: no signal handler, clean-up
code or other cooperation of the parent is needed. Tasks must therefore be safe to kill.
"""

import collections
import contextlib
import ctypes
import logging
import os
import pickle
import queue
import signal
import socket
import subprocess
import sys
import threading
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path

from bsnn.errors import BsnnError, ProgramError, RunFolderError

REPORT, END = "report", "end"


@dataclass(frozen=True, kw_only=True)
class Task:
    """Something to do in a worker process.

    Parameters
    ----------
    name : str
    log : Path
        File to which everything the task writes is added.
    function : bytes
        A pickled callable. It is given a function that passes a value on to the parent.
    """

    name: str
    log: Path
    function: bytes


def run_tasks(tasks, *, parallel, on_report):
    """Run tasks in worker processes, and yield each one's end.

    A process that dies, and a task that ends with ProgramError, is tried once more.
    Closing the generator kills what still runs.

    Parameters
    ----------
    tasks : sequence of Task
    parallel : int
        Worker processes, each with one thread.
    on_report : callable
        ``on_report(name, value)`` is called for each value that a task passes on.

    Yields
    ------
    name, error : str
        The task that ended, and why it failed; empty if it did not.
    """
    waiting, idle, busy, retried = collections.deque(tasks), [], {}, set()
    try:
        while waiting or busy:
            while waiting and len(busy) < parallel:
                worker = idle.pop() if idle else _Worker()
                task = waiting.popleft()
                worker.start(task)
                busy[worker.connection] = worker, task
            for connection in wait(list(busy)):
                worker, task = busy[connection]
                kind, *values = worker.receive()
                if kind == REPORT:
                    on_report(task.name, *values)
                    continue
                error, may_retry = values
                del busy[connection]
                if worker.alive:
                    idle.append(worker)
                if error and may_retry and task.name not in retried:
                    retried.add(task.name)
                    waiting.appendleft(task)
                else:
                    yield task.name, error
    finally:
        for worker in (*idle, *(worker for worker, _ in busy.values())):
            worker.kill()


def run_task(task):
    """Run one task in a worker process of its own and return why it failed, or ''."""
    ends = run_tasks([task], parallel=1, on_report=lambda name, value: None)
    with contextlib.closing(ends):
        return next(ends)[1]


class _Worker:
    """The parent's side of a worker process."""

    def __init__(self):
        self.connection, theirs = Pipe()
        self.alive = True
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno())],
                # Tasks share the cores; none brings threads for all of them.
                # Output is buffered: a task does not fail because its log is full.
                env={
                    **os.environ,
                    "OMP_NUM_THREADS": "1",
                    "BSNN_THREADS": "1",
                    "PYTHONUNBUFFERED": "",
                },
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                # A session of its own: Ctrl-C is for the parent, which then kills it.
                start_new_session=True,
            )

    def start(self, task):
        # If it has died meanwhile, `receive` will tell.
        with contextlib.suppress(OSError):
            self.connection.send_bytes(os.fsencode(task.log))
            self.connection.send_bytes(task.function)

    def receive(self):
        """Return (REPORT, value) or (END, error, whether another try may help)."""
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            self.kill()
            code = self._process.returncode
            how = f"was killed by signal {-code}" if code < 0 else f"ended with {code}"
            return END, f"its process {how}", True

    def kill(self):
        self.alive = False
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self.connection.close()


def _serve(descriptor):
    """Be a worker process."""
    _wake_at_parents_death()
    connection, requests = Connection(descriptor), queue.SimpleQueue()
    threading.Thread(target=_listen, args=(connection, requests), daemon=True).start()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    while True:
        log, function = requests.get(), requests.get()
        connection.send((END, *_run(log, function, connection)))


def _wake_at_parents_death():
    """As in native/protocol.h: stopped, it would not see that its connection closed."""
    if sys.platform == "linux":
        PR_SET_PDEATHSIG = 1
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGCONT)


def _listen(connection, requests):
    try:
        while True:
            requests.put(connection.recv_bytes())
    finally:  # the parent is gone
        os.killpg(0, signal.SIGKILL)


def _run(log, function, connection):
    try:
        _write_to(os.fsdecode(log))
        pickle.loads(function)(lambda value: connection.send((REPORT, value)))
    except Exception as error:  # whatever it is, the other tasks go on
        with contextlib.suppress(OSError):  # a full disk: the message is told below
            traceback.print_exc()  # into the log, with all lines of its message
        expected = isinstance(error, (BsnnError, ValueError))
        message = str(error) if expected else f"{type(error).__name__}: {error}"
        return message.splitlines()[0], isinstance(error, ProgramError)
    finally:  # the parent may kill this process once it knows of the end
        _flush()
    return "", False


def _flush():
    with contextlib.suppress(OSError):  # the disk of the log is full
        sys.stdout.flush()
        sys.stderr.flush()


def _write_to(log):
    """Send this process's output, and that of its children, to the end of a file."""
    try:
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    except OSError as error:
        raise RunFolderError(
            f"{log} cannot be written on {socket.gethostname()} ({error}); its folder "
            "must be there, and writable, on every machine that takes part."
        ) from error
    _flush()
    for stream in (1, 2):
        os.dup2(file, stream)
    os.close(file)


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
