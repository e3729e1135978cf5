"""A training that is killed ends as if it had not been."""

import itertools
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from bsnn import runs
from bsnn.builds import cache_dir
from bsnn.errors import ProgramError, RunFolderError
from bsnn.program.resident import ResidentProgram
from bsnn.training import SpikingNetwork
from bsnn.training.experiments.checkpoint import load_checkpoint
from tests.reliability.kill_training import (
    BATCH_SIZE,
    EPOCHS,
    N_BATCHES,
    N_TEST,
    N_TRAIN,
    alter_a_bit,
    train_digits,
)

pytestmark = [pytest.mark.cpp, pytest.mark.slow]
KILL_TRAINING = sys.executable, "-m", "tests.reliability.kill_training"


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    path = tmp_path_factory.mktemp("unbroken")
    train_digits(path)
    return runs.RunFolder(path)


def test_kills_change_nothing(unbroken, tmp_path):
    cache = tmp_path / "cache"  # without the program, which is built anew
    cache.mkdir()
    (cache / "kernels").symlink_to(cache_dir() / "kernels")
    subprocess.run(
        [*KILL_TRAINING, tmp_path / "run"],
        check=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "BSNN_CACHE": str(cache)},
    )
    assert len(list((cache / "programs").glob("*/"))) == 1
    assert_same_end(runs.RunFolder(tmp_path / "run"), unbroken)


def test_kills_of_a_run_that_goes_on_for_more_epochs_change_nothing(unbroken, tmp_path):
    subprocess.run(
        [*KILL_TRAINING, tmp_path / "run", "going-on"],
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert_same_end(runs.RunFolder(tmp_path / "run"), unbroken)


def assert_same_end(found, expected):
    """Compare all that two trainings left, but how long they took."""
    one, other = load_checkpoint(found), load_checkpoint(expected)
    for name in ("weights", "chosen"):
        for a, b in zip(one[name], other[name], strict=True):
            assert torch.equal(a, b)
    one, other = one["optimizer"]["state"], other["optimizer"]["state"]
    assert len(one) == len(other) == 2
    for moment in other:
        for name, value in other[moment].items():
            assert torch.equal(one[moment][name], value)
    columns = [name for name in runs.METRICS_COLUMNS if name != "seconds"]
    assert found.metrics()[columns].equals(expected.metrics()[columns])
    assert found.confidence().equals(expected.confidence())
    one, other = found.summary(), expected.summary()
    assert other["n_clamped"] > 0
    one["seconds_per_epoch"] = other["seconds_per_epoch"]
    assert one == other
    with np.load(found.path / runs.SPIKES) as one:
        with np.load(expected.path / runs.SPIKES) as other:
            assert one.files == other.files
            for name in other.files:
                np.testing.assert_array_equal(one[name], other[name])
    names = {path.name for path in found.path.iterdir()} - {runs.LOCK}
    assert names == set(runs.FILES)


def test_programs_that_keep_dying_end_the_training(unbroken, tmp_path, caplog):
    simulate, start = SpikingNetwork._run, ResidentProgram._start
    calls = itertools.count(1)

    def start_and_die(self, *arguments):
        start(self, *arguments)
        os.kill(self.pid, signal.SIGKILL)

    with pytest.MonkeyPatch.context() as patch:

        def simulate_and_kill(network, weights, inputs):
            call = next(calls)
            if call in (5, 19):
                os.kill(network.simulator.pids[0], signal.SIGKILL)
            if call == 19:  # the batches and a validation before it
                patch.setattr(ResidentProgram, "_start", start_and_die)
            return simulate(network, weights, inputs)

        patch.setattr(SpikingNetwork, "_run", simulate_and_kill)
        with pytest.raises(
            ProgramError, match=r"(?s)3 times in a row.*last checkpoint"
        ):
            train_digits(tmp_path)
    assert [x.levelname for x in caplog.records].count("WARNING") == 1 + 2
    state = load_checkpoint(runs.RunFolder(tmp_path))
    assert (state["epoch"], state["within"]["batch"]) == (1, 2)
    train_digits(tmp_path)
    assert_same_end(runs.RunFolder(tmp_path), unbroken)


def test_of_two_trainings_in_one_folder_one_is_refused(unbroken, tmp_path):
    options = f"--dt-ms 2 --epochs {EPOCHS} --n-train {N_TRAIN} --n-test {N_TEST}"
    options += f" --batch-size {BATCH_SIZE} --workers 1 --out"
    command = [*"-m bsnn train digits".split(), *options.split(), tmp_path / "run"]
    both = [
        subprocess.Popen(
            [sys.executable, *command],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = {process.communicate()[1]: process.returncode for process in both}
    assert sorted(said.values()) == [0, 1]
    refusal = next(text for text in said if said[text])
    assert refusal.count("\n") == 1
    assert re.match("bsnn: (another training is running in|'out' must be)", refusal)
    assert_same_end(runs.RunFolder(tmp_path / "run"), unbroken)


def test_a_folder_in_use_is_refused(unbroken):
    before = {path: path.stat().st_mtime_ns for path in unbroken.path.iterdir()}
    with unbroken.locked():
        with pytest.raises(RunFolderError, match="another training is running in"):
            train_digits(unbroken.path)
    assert {p: p.stat().st_mtime_ns for p in before} == before


@pytest.mark.parametrize("how", ["cut", "altered"])
def test_a_damaged_checkpoint_falls_back(unbroken, tmp_path, how):
    whole = (unbroken.path / runs.PREVIOUS).read_bytes()
    (tmp_path / runs.PREVIOUS).write_bytes(whole)
    newest = tmp_path / runs.CHECKPOINT
    newest.write_bytes(whole[: len(whole) // 2] if how == "cut" else whole)
    if how == "altered":
        alter_a_bit(newest, 0.5)
    with pytest.warns(UserWarning, match="checkpoint.pt is damaged"):
        state = load_checkpoint(runs.RunFolder(tmp_path), mend=True)
    assert (state["epoch"], state["within"]["batch"]) == (EPOCHS - 1, N_BATCHES - 1)
    assert newest.read_bytes() == whole
