"""Tasks for worker processes, importable there."""

import functools
import os
import pickle
import signal
import subprocess
import sys

from bsnn.errors import ProgramError
from bsnn.processes.tasks import Task, run_tasks


def tell(text, report):
    print(text)
    report((os.getpid(), os.environ["OMP_NUM_THREADS"], os.environ["BSNN_THREADS"]))


def fail(report):
    print("a hint", file=sys.stderr)
    raise RuntimeError("no such thing\nof all things")


def refuse(counter, report):
    count(counter)
    raise ValueError("'x' must be positive, got -1.")


def lose_program(counter, report):
    if count(counter) == 1:
        raise ProgramError("the simulation program died.")


def die_once(counter, report):
    if count(counter) == 1:
        os.kill(os.getpid(), signal.SIGKILL)


def die(counter, report):
    count(counter)
    os.kill(os.getpid(), signal.SIGSEGV)


def hang_with_child(report):
    child = subprocess.Popen(["sleep", "1000"])
    report((os.getpid(), child.pid))
    child.wait()


def count(path):
    """Count a call in a file, for it outlives the process; return the calls so far."""
    with open(path, "a") as file:
        file.write(".")
    return path.stat().st_size


def run_hanging(log):
    """Be a parent whose worker hangs, and print the ids of what it started."""
    task = Task(name="hang", log=log, function=pickle.dumps(hang_with_child))
    show = functools.partial(print, flush=True)
    list(run_tasks([task], parallel=1, on_report=lambda name, pids: show(*pids)))
