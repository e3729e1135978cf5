"""Nothing outlives a training, however it ends: no process, memory, temporary file."""

import contextlib
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bsnn import runs
from bsnn.builds import build_once
from tests.processes.survivors import assert_none_left, marked

pytestmark = [pytest.mark.cpp, pytest.mark.slow]
# How a training ends, and its exit code.
KILLS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}


class Training:
    """A `bsnn train` with a temporary folder of its own; `mark` finds its processes."""

    def __init__(self, folder, *, epochs, **environment):
        self.folder, self.temporary = folder, folder / "tmp"
        self.temporary.mkdir(parents=True)
        size = f"--dt-ms 2 --n-train 200 --n-test 50 --workers 2 --epochs {epochs}"
        self.process = subprocess.Popen(
            [
                *[sys.executable, "-m", "bsnn", "train", "digits", *size.split()],
                *["--out", folder / "run"],
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "BSNN_TEST": str(folder),
                "TMPDIR": str(self.temporary),
                **environment,
            },
            start_new_session=True,
        )

    def close(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stderr.close()

    def end(self, cause):
        # To its group, as a terminal sends Ctrl-C.
        os.killpg(self.process.pid, cause)
        _, stderr = self.process.communicate(timeout=60)
        assert self.process.returncode == KILLS[cause], stderr

    def assert_nothing_left(self):
        assert_none_left(self.folder)
        # torch keeps one folder for each user, empty here.
        left = [p for p in self.temporary.rglob("*") if "torch" not in p.name]
        assert not left


def each_when(trainings, reached):
    """Yield (cause, training) as soon as `reached(training)` is true."""
    waiting = dict(trainings)
    while waiting:
        for cause, training in list(waiting.items()):
            assert training.process.poll() is None, training.process.communicate()[1]
            if reached(training):
                yield cause, waiting.pop(cause)
        time.sleep(0.01)


def is_training(training):
    return (training.folder / "run" / runs.METRICS).is_file()


def is_compiling(training):
    return {"make", "cc1plus"} <= set(marked(training.folder).values())


@pytest.fixture
def start():
    """Return `Training`, whose processes end with the test."""
    with contextlib.ExitStack() as stack:
        yield lambda *a, **k: stack.enter_context(contextlib.closing(Training(*a, **k)))


def test_a_training_leaves_nothing(start, tmp_path):
    ended = start(tmp_path / "ended", epochs=1)
    killed = {
        cause: start(tmp_path / cause.name, epochs=10**6, BSNN_THREADS="1")
        for cause in KILLS
    }
    for cause, training in each_when(killed, is_training):
        processes = marked(training.folder)
        assert list(processes.values()).count("main") == 2
        for pid in processes:  # no memory of theirs has a name that could stay
            maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
            shared = [line for line in maps if "/dev/shm/" in line]
            assert all(line.endswith("(deleted)") for line in shared)
        training.end(cause)
        training.assert_nothing_left()
    _, stderr = ended.process.communicate()
    assert ended.process.returncode == 0, stderr
    ended.assert_nothing_left()


# A compiler that reads its source for ever where make calls it: no test is late.
HOLD = """#!/bin/sh
if [ "$MAKELEVEL" ]; then sleep 1000 | g++ -x c++ -c - -o held.o; else exec g++ "$@"; fi
"""


def test_a_build_leaves_nothing(start, tmp_path, monkeypatch):
    compiler = tmp_path / "hold"
    compiler.write_text(HOLD)
    compiler.chmod(0o700)
    caches = {cause: tmp_path / f"cache-{cause.name}" for cause in KILLS}
    trainings = {
        cause: start(
            tmp_path / cause.name, epochs=1, BSNN_CACHE=str(cache), CXX=str(compiler)
        )
        for cause, cache in caches.items()
    }
    failing = start(
        tmp_path / "failing",
        epochs=1,
        BSNN_CACHE=str(tmp_path / "cache-failing"),
        CXX="g++ -fno-such-option",
    )
    for cause, training in each_when(trainings, is_compiling):
        training.end(cause)
        training.assert_nothing_left()
        left = len(list((caches[cause] / "programs").glob("*/")))
        assert left == (cause == signal.SIGKILL)
    _, stderr = failing.process.communicate()
    assert failing.process.returncode == 1
    assert "no-such-option" in stderr
    failing.assert_nothing_left()
    assert not list((tmp_path / "cache-failing" / "programs").glob("*/"))

    cache = caches[signal.SIGKILL]
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    monkeypatch.setenv("BSNN_CACHE", str(cache))
    build_once("programs", "other", Path.touch)  # what the next start does
    assert [path.name for path in (cache / "programs").glob("*/")] == ["other"]


# Ends by a signal that comes while Python frees an object.
LOST = """
import signal, sys, time
from bsnn.cli import main

class Freed:
    def __del__(self):
        signal.raise_signal(number)

def command(_):
    Freed()
    time.sleep(100)

number = int(sys.argv.pop())
main._function_of = lambda name: command
main.run()
"""


@pytest.mark.parametrize("cause", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_python_ignores_comes_again(cause):
    command = [sys.executable, "-c", LOST, "doctor", str(int(cause))]
    run = subprocess.run(command, capture_output=True, timeout=60)
    assert run.returncode == KILLS[cause], run.stderr
    assert b"ignored" not in run.stderr
