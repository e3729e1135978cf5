"""Task processes: one task after another on one core, never outliving the parent.

The parent shares a socket with each. When the parent ends, however it ends, the system
closes its side, and the process kills its own process group, without any help from the
parent. Tasks must therefore be safe to kill.
"""

import collections
import contextlib
import ctypes
import functools
import json
import logging
import os
import pickle
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path

from bsnn.errors import BsnnError, ProgramError, RunFolderError

from .brian2_files import import_brian2
from .children import python_command, python_environment

REPORT, END = "report", "end"
# Tasks share the cores; none brings threads for all of them.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "BSNN_THREADS": "1"}


@dataclass(frozen=True, kw_only=True)
class Task:
    """Something to do in a process of its own.

    Parameters
    ----------
    name : str
    log : Path
        File to which everything the task writes is added.
    function : bytes
        A pickled callable. It is given a function that passes a value on to the parent.
        Its modules are installed, on PYTHONPATH, or else where the parent finds them.
    """

    name: str
    log: Path
    function: bytes


def run_tasks(tasks, *, parallel, on_report, variables=ONE_THREAD):
    """Run tasks in processes, and yield each one's end.

    A task whose process dies, or that ends with ProgramError, is tried once more.
    Closing the generator kills what still runs.

    Parameters
    ----------
    tasks : sequence of Task
    parallel : int
        Task processes.
    on_report : callable
        ``on_report(name, value)`` is called for each value that a task passes on.
    variables : dict of str to str
        Environment variables of the task processes.

    Yields
    ------
    name, error : str
        The task that ended, and why it failed; empty if it did not.
    """
    waiting, idle, busy, retried = collections.deque(tasks), [], {}, set()
    try:
        while waiting or busy:
            while waiting and len(busy) < parallel:
                process = idle.pop() if idle else _TaskProcess(variables)
                task = waiting.popleft()
                process.start(task)
                busy[process.connection] = process, task
            for connection in wait(list(busy)):
                process, task = busy[connection]
                kind, *values = process.receive()
                if kind == REPORT:
                    on_report(task.name, *values)
                    continue
                error, may_retry = values
                del busy[connection]
                if process.alive:
                    idle.append(process)
                if error and may_retry and task.name not in retried:
                    retried.add(task.name)
                    waiting.appendleft(task)
                else:
                    yield task.name, error
    finally:
        for process in (*idle, *(process for process, _ in busy.values())):
            process.kill()


def run_task(task):
    """Run one task in a task process of its own and return why it failed, or ''."""
    ends = run_tasks([task], parallel=1, on_report=lambda name, value: None)
    with contextlib.closing(ends):
        return next(ends)[1]


def call_apart(function, *arguments):
    """Return what a function returns in a process of its own, with all the threads.

    Raises
    ------
    ProgramError
        If it raises an error, or its process dies; with what it wrote.
    """
    call = functools.partial(_report_result, function, arguments)
    results = []
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        task = Task(name=function.__name__, log=log, function=pickle.dumps(call))
        ends = run_tasks(
            [task],
            parallel=1,
            on_report=lambda _, value: results.append(value),
            variables={},
        )
        with contextlib.closing(ends):
            error = next(ends)[1]
        if error:
            raise ProgramError(error, log.read_text("utf-8", "replace")[-2000:])
    return results[-1]


def _report_result(function, arguments, report):
    report(function(*arguments))


class _TaskProcess:
    """The parent's side of a task process."""

    def __init__(self, variables):
        self.connection, theirs = Pipe()
        self.alive = True
        with theirs:
            self._process = subprocess.Popen(
                python_command(
                    "-m",
                    "bsnn.processes.tasks",
                    str(theirs.fileno()),
                    json.dumps(sys.path),
                ),
                # Output is buffered: a task does not fail because its log is full.
                env={**python_environment(), **variables},
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


def _serve(descriptor, parents_path):
    """Be a task process."""
    _wake_at_parents_death()
    connection, requests = Connection(descriptor), queue.SimpleQueue()
    threading.Thread(target=_listen, args=(connection, requests), daemon=True).start()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    while True:
        log, function = requests.get(), requests.get()
        connection.send((END, *_run(log, function, connection, parents_path)))


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


def _run(log, function, connection, parents_path):
    try:
        _write_to(os.fsdecode(log))
        import_brian2()
        task = _load(function, parents_path)
        task(lambda value: connection.send((REPORT, value)))
    except Exception as error:  # whatever it is, the other tasks go on
        with contextlib.suppress(OSError):  # a full disk: the message is told below
            traceback.print_exc()  # into the log, with all lines of its message
        expected = isinstance(error, (BsnnError, ValueError))
        message = str(error) if expected else f"{type(error).__name__}: {error}"
        return message.splitlines()[0], isinstance(error, ProgramError)
    finally:  # the parent may kill this process once it knows of the end
        _flush()
    return "", False


def _load(function, parents_path):
    try:
        return pickle.loads(function)
    except ModuleNotFoundError:  # a module that lies beside the user's script
        sys.path.extend(folder for folder in parents_path if folder not in sys.path)
        return pickle.loads(function)


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
    _serve(int(sys.argv[1]), json.loads(sys.argv[2]))
