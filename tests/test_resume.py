"""A training that is killed ends as if it had not been."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bsnn import runs
from bsnn.builds import cache_dir
from bsnn.errors import RunFolderError
from bsnn.training.checkpoint import load_checkpoint

from .kill_training import BATCH_SIZE, EPOCHS, N_TRAIN, train_digits

pytestmark = [pytest.mark.cpp, pytest.mark.slow]


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
        [sys.executable, "-m", "tests.kill_training", tmp_path / "run"],
        check=True,
        cwd=Path(__file__).parents[1],
        env={**os.environ, "BSNN_CACHE": str(cache)},
    )
    assert len(list((cache / "programs").glob("*/"))) == 1
    killed = runs.RunFolder(tmp_path / "run")
    one, other = load_checkpoint(killed), load_checkpoint(unbroken)
    for a, b in zip(one["weights"], other["weights"], strict=True):
        assert torch.equal(a, b)
    columns = [name for name in runs.METRICS_COLUMNS if name != "seconds"]
    assert killed.metrics()[columns].equals(unbroken.metrics()[columns])
    assert killed.confidence().equals(unbroken.confidence())
    assert one["n_clamped"] == other["n_clamped"]
    assert {path.name for path in killed.path.glob(".*")} <= {runs.LOCK}


def test_a_folder_in_use_is_refused(unbroken):
    before = {path: path.stat().st_mtime_ns for path in unbroken.path.iterdir()}
    with unbroken.locked():
        with pytest.raises(RunFolderError, match="another training is running in"):
            train_digits(unbroken.path)
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_a_damaged_checkpoint_falls_back(unbroken, tmp_path):
    whole = (unbroken.path / runs.PREVIOUS).read_bytes()
    (tmp_path / runs.PREVIOUS).write_bytes(whole)
    (tmp_path / runs.CHECKPOINT).write_bytes(whole[: len(whole) // 2])
    with pytest.warns(UserWarning, match="checkpoint.pt is damaged"):
        state = load_checkpoint(runs.RunFolder(tmp_path), mend=True)
    last = N_TRAIN // BATCH_SIZE - 1
    assert (state["epoch"], state["within"]["batch"]) == (EPOCHS - 1, last)
    assert (tmp_path / runs.CHECKPOINT).read_bytes() == whole
