"""Worker processes: failures and deaths stay with their task; none is left behind."""

import functools
import importlib
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bsnn.processes.tasks import Task, run_task, run_tasks
from tests.processes import worker_tasks
from tests.processes.survivors import is_alive

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def make_task(folder, name, function, *arguments):
    function = pickle.dumps(functools.partial(function, *arguments))
    return Task(name=name, log=folder / f"{name}.log", function=function)


def run_all(tasks, parallel=1):
    reports = []
    ends = run_tasks(
        tasks, parallel=parallel, on_report=lambda *values: reports.append(values)
    )
    return dict(ends), reports


def assert_gone(pids):
    deadline = time.monotonic() + 60
    while any(map(is_alive, pids)):
        assert time.monotonic() < deadline, f"{pids} outlive their parent"
        time.sleep(0.01)


def test_tasks_share_a_process_with_one_thread_and_keep_their_logs_apart(tmp_path):
    names = ["one", "two", "three"]
    tasks = [make_task(tmp_path, n, worker_tasks.tell, f"I am {n}") for n in names]
    ends, reports = run_all(tasks)
    assert ends == dict.fromkeys(names, "")
    assert [name for name, _ in reports] == names
    assert len({values for _, values in reports}) == 1
    assert reports[0][1][1:] == ("1", "1")
    for name in names:
        assert (tmp_path / f"{name}.log").read_text() == f"I am {name}\n"
    assert_gone([reports[0][1][0]])


def test_what_lies_in_the_working_folder_hides_no_module(tmp_path, monkeypatch):
    for name in ("queue", "random", "numpy", "brian2", "bsnn"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong one')")
    (tmp_path / "equations").mkdir()
    monkeypatch.chdir(tmp_path)
    task = make_task(tmp_path, "task", worker_tasks.tell, "fine")
    assert run_all([task])[0] == {"task": ""}


def test_a_module_beside_the_users_script_is_found_last(tmp_path, monkeypatch):
    (tmp_path / "my_measures.py").write_text(
        "import queue\ndef measure(report):\n    report(queue.__file__ != __file__)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    my_measures = importlib.import_module("my_measures")
    (tmp_path / "queue.py").write_text("raise SystemExit('the wrong one')")
    task = make_task(tmp_path, "task", my_measures.measure)
    assert run_all([task]) == ({"task": ""}, [("task", True)])


def test_two_workers_share_many_tasks(tmp_path):
    tasks = [make_task(tmp_path, str(n), worker_tasks.tell, "") for n in range(9)]
    ends, reports = run_all(tasks, parallel=2)
    assert len(ends) == len(reports) == 9
    assert len({pid for _, (pid, *_) in reports}) == 2


def test_no_tasks_start_no_process():
    assert run_all([]) == ({}, [])


def test_a_failure_is_recorded_and_the_others_go_on(tmp_path):
    tasks = [
        make_task(tmp_path, "bad", worker_tasks.fail),
        make_task(tmp_path, "good", worker_tasks.tell, "fine"),
    ]
    ends, _ = run_all(tasks)
    assert ends == {"bad": "RuntimeError: no such thing", "good": ""}
    log = (tmp_path / "bad.log").read_text()
    assert log.startswith("a hint\nTraceback")
    assert "of all things" in log


@pytest.mark.parametrize(
    ("function", "calls", "error"),
    [
        (worker_tasks.die_once, 2, ""),
        (worker_tasks.die, 2, "its process was killed by signal 11"),
        (worker_tasks.lose_program, 2, ""),
        (worker_tasks.refuse, 1, "'x' must be positive, got -1."),
    ],
)
def test_a_death_costs_one_retry_and_no_other_task(function, calls, error, tmp_path):
    counter = tmp_path / "calls"
    tasks = [
        make_task(tmp_path, "before", worker_tasks.tell, ""),
        make_task(tmp_path, "task", function, counter),
        make_task(tmp_path, "after", worker_tasks.tell, ""),
    ]
    ends, _ = run_all(tasks)
    assert ends == {"before": "", "task": error, "after": ""}
    assert counter.stat().st_size == calls


def test_a_log_that_cannot_be_written_is_a_failure(tmp_path):
    task = make_task(tmp_path / "absent", "task", worker_tasks.tell, "")
    assert "its folder must be there, and writable, on every machine" in run_task(task)


@pytest.mark.parametrize(
    ("function", "error"),
    [(worker_tasks.tell, ""), (worker_tasks.refuse, "'x' must be positive, got -1.")],
)
def test_a_log_on_a_full_disk_hides_no_end(function, error, tmp_path):
    (tmp_path / "full.log").symlink_to("/dev/full")
    tasks = [
        make_task(tmp_path, "full", function, tmp_path / "calls"),
        make_task(tmp_path, "after", worker_tasks.tell, "fine"),
    ]
    assert run_all(tasks)[0] == {"full": error, "after": ""}


def test_closing_ends_what_still_runs(tmp_path):
    pids = []
    tasks = [
        make_task(tmp_path, "hang", worker_tasks.hang_with_child),
        make_task(tmp_path, "fine", worker_tasks.tell, ""),
    ]

    def on_report(name, values):
        pids.extend(values if name == "hang" else ())

    ends = run_tasks(tasks, parallel=2, on_report=on_report)
    assert next(ends) == ("fine", "")
    ends.close()
    assert_gone(pids)


@pytest.mark.parametrize(
    ("cause", "stopped"),
    [
        (signal.SIGKILL, False),
        (signal.SIGKILL, True),
        (signal.SIGTERM, False),
        (signal.SIGINT, False),
    ],
)
def test_no_process_outlives_the_parent(cause, stopped, tmp_path):
    code = "import sys, tests.processes.worker_tasks as t; t.run_hanging(sys.argv[1])"
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "log")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with parent:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        assert all(map(is_alive, pids))
        if stopped:
            os.kill(pids[0], signal.SIGSTOP)
        os.kill(parent.pid, cause)
    assert_gone(pids)
