"""Sweeps: the cells, the folders, failures, kills, and a real Dask cluster."""

import ast
import contextlib
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import filelock
import numpy as np
import pytest

from bsnn import runs
from bsnn.analysis import read_sweep
from bsnn.cli.main import main
from bsnn.errors import RunFolderError
from bsnn.runs import RunFolder
from bsnn.settings import Settings
from bsnn.training.experiments import cluster
from bsnn.training.experiments.checkpoint import load_checkpoint
from bsnn.training.experiments.sweep import (
    LOCK,
    cell_name,
    check_cells,
    is_done,
    make_cells,
)
from tests.processes.survivors import assert_none_left

ROOT = Path(__file__).parents[3]
SIZE = "--epochs 2 --n-train 120 --n-test 60".split()
SWEEP = ["sweep", "digits", *SIZE, "--dt-ms", "0", "4"]
SWEEP += ["--rules", "grid", "quantised-event"]
SMALLER = {"n_train": 120, "n_test": 60}
BASE = Settings.reference("digits", epochs=2, **SMALLER)


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


# --- which cells


def test_cells_are_the_product_and_continuous_once_a_seed():
    rules = ["grid", "quantised-event"]
    cells = make_cells(BASE, dt_ms=[0, 0.5, 4], rules=rules, seeds=[0, 1])
    assert list(cells)[:5] == [
        "digits_continuous_dt0_seed0",
        "digits_grid_dt0.5_seed0",
        "digits_quantised-event_dt0.5_seed0",
        "digits_grid_dt4_seed0",
        "digits_quantised-event_dt4_seed0",
    ]
    assert len(cells) == 10
    for name, cell in cells.items():
        assert cell_name(cell) == name
        assert cell.workers == 1
        assert replace(cell, dt_ms=1.0, rule="grid", seed=0, workers=None) == BASE


def test_settings_of_one_rule_stay_with_its_cells():
    base = replace(BASE, rule="continuous", dt_ms=0.0, max_spikes=(30, 30))
    base = replace(base, detect="crossing")
    rules = ["grid", "quantised-event"]
    cells = make_cells(base, dt_ms=[0, 4], rules=rules, seeds=[0])
    assert {name: (cell.detect, cell.max_spikes) for name, cell in cells.items()} == {
        "digits_continuous_dt0_seed0": ("end", (30, 30)),
        "digits_grid-crossing_dt4_seed0": ("crossing", None),
        "digits_quantised-event_dt4_seed0": ("end", (30, 30)),
    }


def test_cells_of_another_loss_have_names_of_their_own():
    base = replace(BASE, true=8.0, false=2.0)
    penalties = [0, 0.003]
    cells = make_cells(
        base, dt_ms=[4], rules=["grid"], seeds=[0, 1], spike_penalties=penalties
    )
    assert {name: cell.spike_penalty for name, cell in cells.items()} == {
        "digits_grid_dt4_targets8-2_seed0": 0,
        "digits_grid_dt4_targets8-2_penalty0.003_seed0": 0.003,
        "digits_grid_dt4_targets8-2_seed1": 0,
        "digits_grid_dt4_targets8-2_penalty0.003_seed1": 0.003,
    }


def test_cells_that_start_or_descend_otherwise_have_names_of_their_own():
    others = (
        {},
        {"preset": "published"},
        {"preset": "published", "initial_drive": 0.0, "slope_min": 0.1},
        {"initial_mean": (0.0, 0.1)},
        {"preset": "published", "initial_mean": (0.0, -0.1), "slope_min": 5.0},
        {"initial_drive": 2.0, "relative_slope_min": 3.0},
    )
    cells = [Settings.reference("digits", spike_penalty=0.01, **o) for o in others]
    assert [cell_name(cell) for cell in cells] == [
        "digits_grid_dt1_penalty0.01_seed0",
        "digits_grid_dt1_penalty0.01_seed0",
        "digits_grid_dt1_penalty0.01_seed0",
        "digits_grid_dt1_penalty0.01_mean0-0.1_seed0",
        "digits_grid_dt1_penalty0.01_mean0--0.1_slope5_seed0",
        "digits_grid_dt1_penalty0.01_drive2_relative-slope3_seed0",
    ]


@pytest.mark.parametrize(
    ("base", "changes", "words"),
    [
        ({}, {"seeds": []}, "the sweep is empty"),
        ({}, {"rules": ["euler"]}, "'rule' must be one of grid"),
        ({}, {"rules": ["continuous"]}, "'dt' must be 0 under the rule 'continuous'"),
        ({}, {"dt_ms": [500]}, "'dt' must not be longer than 'duration'"),
        (
            {},
            {"dt_ms": [1, 1.0000001]},
            "'dt_ms' and .* must differ in the first six digits",
        ),
        ({"detect": "crossing"}, {"rules": ["quantised-event"]}, "'detect' belongs to"),
        ({"max_spikes": (9, 9)}, {}, "'max_spikes' belongs to none of the rules"),
        (
            {"tau_mem_ms": 200.0},
            {"rules": ["grid", "quantised-event"]},
            "'tau_mem' of layer 1 must be 2 tau_syn under the rule 'quantised-event'",
        ),
    ],
)
def test_impossible_sweeps_are_refused(base, changes, words):
    axes = {"dt_ms": [1], "rules": ["grid"], "seeds": [0], **changes}
    with pytest.raises(ValueError, match=words):
        make_cells(replace(BASE, **base), **axes)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--rules", "euler"], "'rule' must be one of grid"),
        (["--parallel", "0"], "'parallel' must be at least 1, got 0"),
        (["--parallel", "2", "--scheduler", "x"], "Leave one of them out"),
        (["--layers", "9", "9", "10"], "'layers' must begin with the 64 inputs"),
        (["--n-train", "99999"], "'n_train' must lie in"),
    ],
)
def test_bad_arguments_are_one_message(arguments, words, tmp_path, capsys):
    out = tmp_path / "sweep"
    assert main([*SWEEP, "--out", str(out), *arguments]) == 1
    said = capsys.readouterr()
    assert words in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""
    assert not out.exists()


# --- what stands in the sweep folder


def make_folder(out, settings, *, finished=True):
    folder = RunFolder(out / cell_name(settings))
    folder.create(settings.config())
    if finished:
        folder.write_json(runs.SUMMARY, {})
    return folder


def test_a_cell_or_its_other_seed_with_other_settings_is_refused(tmp_path):
    cells = make_cells(BASE, dt_ms=[1, 4], rules=["grid"], seeds=[1])
    cell = cells["digits_grid_dt4_seed1"]
    make_folder(tmp_path, replace(cell, workers=2))  # does not change the result
    make_folder(tmp_path, replace(cell, seed=0))
    make_folder(tmp_path, replace(cell, rule="quantised-event", epochs=9))
    check_cells(cells, tmp_path)
    for seed in (1, 12):
        folder = make_folder(tmp_path, replace(cell, seed=seed, epochs=7, n_test=50))
        words = (
            rf"digits_grid_dt4_seed{seed} holds a run of another configuration "
            r"\(epochs 7, not 2, n_test 50, not 60\); .* choose another folder"
        )
        with pytest.raises(RunFolderError, match=words):
            check_cells(cells, tmp_path)
        folder.create(replace(cell, seed=seed).config())
    base = Settings.reference("digits", preset="published", epochs=2, **SMALLER)
    for dt_ms, words in (
        (4, r"another configuration \(.*preset default, not published"),
        (8, "seed0 holds a run of the preset 'default', not published: tables"),
    ):
        published = make_cells(base, dt_ms=[dt_ms], rules=["grid"], seeds=[1])
        with pytest.raises(RunFolderError, match=words):
            check_cells(published, tmp_path)


def test_cells_may_go_on_for_more_epochs_but_not_beside_seeds_that_do_not(tmp_path):
    both = make_cells(BASE, dt_ms=[4], rules=["grid"], seeds=[0, 1])
    for cell in both.values():
        make_folder(tmp_path, cell)
        assert is_done(cell, RunFolder(tmp_path / cell_name(cell)))
    base = replace(BASE, epochs=3)
    more = make_cells(base, dt_ms=[4], rules=["grid"], seeds=[0, 1])
    check_cells(more, tmp_path)
    for name, cell in more.items():
        assert not is_done(cell, RunFolder(tmp_path / name))
    alone = make_cells(base, dt_ms=[4], rules=["grid"], seeds=[0])
    words = r"seed1 holds a run of another configuration \(epochs 2, not 3\)"
    with pytest.raises(RunFolderError, match=words):
        check_cells(alone, tmp_path)


@pytest.mark.parametrize("damaged", [runs.CONFIG, runs.SUMMARY])
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe"])
def test_a_damaged_folder_is_reported_before_anything_runs(
    damaged, content, tmp_path, capsys
):
    cells = make_cells(BASE, dt_ms=[0, 4], rules=["grid"], seeds=[0])
    folder = make_folder(tmp_path, cells["digits_grid_dt4_seed0"])
    (folder.path / damaged).write_bytes(content)
    assert main([*SWEEP, "--out", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert f"{folder.path / damaged} is damaged" in said
    assert "delete its folder and train again" in said
    assert {path.name for path in tmp_path.iterdir()} <= {LOCK, folder.path.name}


def test_what_a_killed_process_leaves_is_free(tmp_path):
    """Nothing, or temporary files only; they go once the run begins."""
    folder, config = RunFolder(tmp_path / "run"), BASE.config()
    folder.path.mkdir()
    folder.check_free(config)
    for name in (".config.json.h2k4", ".checkpoint.pt.a1b2"):
        (folder.path / name).touch()
    folder.check_free(config)
    folder.create(config)
    assert [path.name for path in folder.path.iterdir()] == [runs.CONFIG]
    (folder.path / runs.CONFIG).unlink()
    (folder.path / ".gitignore").touch()
    with pytest.raises(RunFolderError, match="holds other files"):
        folder.check_free(config)


def test_two_sweeps_do_not_share_a_folder(tmp_path, capsys):
    with filelock.FileLock(tmp_path / LOCK):
        assert main([*SWEEP, "--out", str(tmp_path)]) == 1
    assert "another sweep is running in" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_one_message(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main([*SWEEP, "--out", str(tmp_path / "file" / "sweep")]) == 1
    assert "choose another name" in capsys.readouterr().err


def test_no_compiler_is_one_message(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert main([*SWEEP, "--out", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("bsnn: 'no-such-compiler' is needed to compile")
    assert [path.name for path in tmp_path.iterdir()] == [LOCK]


# --- running


def start_sweep(out, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "bsnn", *SWEEP, "--out", str(out), *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "BSNN_TEST": str(out)},
    )


def run_command(out, *arguments):
    process = start_sweep(out, *arguments)
    stdout, stderr = process.communicate()
    return process.returncode, stdout, stderr


def assert_same_runs(out, expected):
    names = {path.parent.name for path in out.glob("*/config.json")}
    assert names
    for name in names:
        one, other = RunFolder(out / name), RunFolder(expected / name)
        left, right = (f.metrics().drop(columns="seconds") for f in (one, other))
        assert left.equals(right), name
        assert one.confidence().equals(other.confidence()), name
        left, right = one.summary(), other.summary()
        left["seconds_per_epoch"] = right["seconds_per_epoch"]
        assert left == right, name
        files = {path.name for path in one.path.iterdir()} - {runs.LOCK}
        assert files == set(runs.FILES), name
    return names


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """A finished sweep: its folder, and what it said."""
    out = tmp_path_factory.mktemp("unbroken")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        code, stdout, stderr = run_command(out)
    assert code == 0, stderr
    return out, stdout, stderr


@pytest.mark.cpp
@pytest.mark.slow
def test_a_sweep_says_how_far_it_is_and_prints_its_table(unbroken):
    out, stdout, stderr = unbroken
    lines = stderr.splitlines()
    assert len(lines) == 3
    assert all(" finished; " in line and " left" in line for line in lines)
    assert "3 of 3 cells, 00:00 left" in lines[-1]
    assert len(stdout.splitlines()) == 4  # a heading and a row a cell
    assert {path.name for path in out.iterdir()} == {
        LOCK,
        "digits_continuous_dt0_seed0",
        "digits_grid_dt4_seed0",
        "digits_quantised-event_dt4_seed0",
    }
    assert RunFolder(out / "digits_grid_dt4_seed0").config()["workers"] == 1


@pytest.mark.cpp
@pytest.mark.slow
def test_a_finished_sweep_does_nothing_again(unbroken, capsys):
    out, stdout, _ = unbroken
    before = {path: path.stat().st_mtime_ns for path in out.glob("*/*")}
    assert main([*SWEEP, "--out", str(out)]) == 0
    assert capsys.readouterr().out == stdout
    assert {path: path.stat().st_mtime_ns for path in out.glob("*/*")} == before


@pytest.mark.cpp
@pytest.mark.slow
def test_a_sweep_with_more_epochs_goes_on_with_each_cell(unbroken, tmp_path):
    expected, stdout, _ = unbroken
    code, _, stderr = run_command(tmp_path, "--epochs", "1")
    assert code == 0, stderr
    code, table, stderr = run_command(tmp_path)
    assert code == 0, stderr
    assert table == stdout
    assert len(assert_same_runs(tmp_path, expected)) == 3


@pytest.mark.cpp
@pytest.mark.slow
def test_a_failing_cell_is_recorded_and_the_others_go_on(unbroken, tmp_path, capsys):
    expected, _, _ = unbroken
    cells = make_cells(BASE, dt_ms=[4], rules=["grid"], seeds=[0])
    bad = make_folder(tmp_path, cells["digits_grid_dt4_seed0"], finished=False)
    (bad.path / runs.CHECKPOINT).write_bytes(b"garbage")
    # One process runs both: what fails does not disturb what follows it.
    code, table, stderr = run_command(tmp_path, "--dt-ms", "4", "--parallel", "1")
    assert code == 1
    assert len(table.splitlines()) == 2
    log = tmp_path / "digits_grid_dt4_seed0.log"
    last = stderr.splitlines()[-1]
    assert last.startswith("bsnn: digits_grid_dt4_seed0 failed: ")
    assert "checkpoint.pt is damaged" in last
    assert last.endswith(f"({log})")
    assert "Traceback" in log.read_text()
    assert "Traceback" not in stderr

    (bad.path / runs.CHECKPOINT).unlink()
    assert main([*SWEEP, "--out", str(tmp_path), "--dt-ms", "4"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert not log.exists()
    assert len(assert_same_runs(tmp_path, expected)) == 2


@pytest.mark.cpp
@pytest.mark.slow
def test_a_sweep_killed_again_and_again_ends_with_the_same_table(unbroken, tmp_path):
    """kill -9 once so many files, temporary ones included, have been written."""
    expected, stdout, _ = unbroken
    rng = np.random.default_rng(int.from_bytes(os.urandom(4), "little"))
    n_files = len(runs.FILES) * 3
    for threshold in sorted(rng.integers(1, n_files, 3)):
        process = start_sweep(tmp_path)
        while process.poll() is None and len(list(tmp_path.glob("*/*"))) < threshold:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.1))
        process.kill()
        process.communicate()
        assert_none_left(tmp_path)
    code, table, stderr = run_command(tmp_path)
    assert code == 0, stderr
    assert table == stdout
    assert len(assert_same_runs(tmp_path, expected)) == 3


@pytest.mark.cpp
@pytest.mark.slow
def test_a_sweep_is_read_and_drawn_while_it_runs(tmp_path):
    sweep, seen, drawn = tmp_path / "sweep", set(), None
    options = "--parallel 1 --dt-ms 0 --seeds 0 1 2".split()
    with start_sweep(sweep, *options) as process:
        while process.poll() is None:
            read_whatever_is_there(sweep)
            try:
                n_runs = len(read_sweep(sweep).runs)
            except RunFolderError as error:
                words = "no such folder|holds no runs|none of its . runs has finished"
                assert re.search(words, str(error)), error
                n_runs = 0
            seen.add(n_runs)
            if 0 < n_runs < 3 and drawn is None:
                drawn = main(["plot", str(sweep)])
        assert process.returncode == 0, process.communicate()[1]
    assert drawn == 0
    assert {0, 1} <= seen
    assert len(read_sweep(sweep).runs) == 3


def read_whatever_is_there(sweep):
    for path in sweep.glob("digits_*/"):  # and not the figures
        folder = RunFolder(path)
        for name, read in {
            runs.CONFIG: folder.config,
            runs.METRICS: folder.metrics,
            runs.CONFIDENCE: folder.confidence,
            runs.SPIKES: folder.spikes,
            runs.CHECKPOINT: lambda folder=folder: load_checkpoint(folder),
            runs.SUMMARY: folder.summary,
        }.items():
            if (path / name).is_file():
                assert read() is not None


# --- on a cluster


def test_dask_is_imported_only_when_a_cluster_is_asked_for():
    for path in (*ROOT.glob("bsnn/*.py"), *ROOT.glob("training/*.py")):
        for node in ast.parse(path.read_text()).body:  # not inside functions
            if isinstance(node, ast.Import | ast.ImportFrom):
                assert "distributed" not in ast.unparse(node), path


def test_without_dask_a_cluster_is_one_message(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "distributed", None)
    out = tmp_path / "sweep"
    assert main([*SWEEP, "--out", str(out), "--scheduler", "tcp://localhost:1"]) == 1
    assert "pip install 'bsnn[cluster]'" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense://x"])
def test_a_scheduler_that_does_not_answer(address, tmp_path, monkeypatch, capsys):
    pytest.importorskip("distributed")
    monkeypatch.setattr(cluster, "PATIENCE", 1)
    assert main([*SWEEP, "--out", str(tmp_path), "--scheduler", address]) == 1
    said = capsys.readouterr().err
    assert f"no Dask scheduler answered at {address!r} within 1 s" in said
    assert "start one with 'dask scheduler'" in said


@pytest.fixture
def dask_cluster(tmp_path):
    """Address of a scheduler, its process and those of its two workers."""
    pytest.importorskip("distributed")
    address, processes = tmp_path / "scheduler.json", []

    def start(kind, *arguments):
        command = [sys.executable, "-m", "distributed.cli.dask_" + kind, *arguments]
        log = open(tmp_path / f"{kind}{len(processes)}.log", "wb")
        with log:
            processes.append(
                subprocess.Popen(
                    command,
                    cwd=tmp_path,
                    stdout=log,
                    stderr=log,
                    env={**os.environ, "BSNN_TEST": str(tmp_path)},
                )
            )

    start("scheduler", "--port=0", "--no-dashboard", f"--scheduler-file={address}")
    for _ in range(2):
        options = ["--nthreads=1", "--no-nanny", "--no-dashboard"]
        start("worker", f"--scheduler-file={address}", *options)
    try:
        found = None
        while found is None:
            assert processes[0].poll() is None
            time.sleep(0.01)
            # The file is there before its text is.
            with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
                found = json.loads(address.read_text())["address"]
        yield found, *processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


@pytest.mark.cpp
@pytest.mark.slow
def test_a_cluster_that_loses_a_worker_finishes_the_sweep(
    unbroken, dask_cluster, tmp_path
):
    expected, stdout, _ = unbroken
    address, _, first, second = dask_cluster
    out = tmp_path / "sweep"
    process = start_sweep(out, "--scheduler", address)
    while len(list(out.glob("*/*"))) < 3:  # cells have begun, none has ended
        assert process.poll() is None, process.communicate()
        time.sleep(0.001)
    first.kill()
    table, stderr = process.communicate()
    assert process.returncode == 0, stderr
    assert table == stdout
    assert len(assert_same_runs(out, expected)) == 3
    assert second.poll() is None


@pytest.mark.slow
def test_a_scheduler_that_is_lost_is_one_message(dask_cluster, tmp_path):
    address, scheduler, *_ = dask_cluster
    out = tmp_path / "sweep"
    process = start_sweep(out, "--scheduler", address)
    while not list(out.glob("*.log")):  # a cell has begun
        assert process.poll() is None, process.communicate()
        time.sleep(0.001)
    scheduler.kill()
    _, stderr = process.communicate()
    assert process.returncode == 1
    assert f"bsnn: the Dask scheduler at {address!r} was lost" in stderr
    assert "Traceback" not in stderr
