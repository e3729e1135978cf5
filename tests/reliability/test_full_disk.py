"""Full and read-only file systems, and clocks set back: results stay as they were."""

import errno
import os
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
import torch

from bsnn import runs
from bsnn.builds import SPACE_NEEDED, build_once
from bsnn.cli import main as cli
from bsnn.errors import BuildError, RunFolderError
from bsnn.training.experiments import loop
from bsnn.training.experiments.checkpoint import load_checkpoint
from tests.reliability.kill_training import train_digits
from tests.reliability.untrusted import make_readers, write_checkpoint

RUN = "digits --dt-ms 2 --epochs 2 --n-train 200 --n-test 50 --workers 1".split()

# Trains until a checkpoint of the first epoch is there; then `happen` happens.
TRAIN = """
import sys
from bsnn.cli.main import main
from bsnn.training.experiments import loop

def happen():
    {happen}

def save(*arguments, epoch, **options):
    kept(*arguments, epoch=epoch, **options)
    if epoch == 1:
        happen()

kept, loop.save_checkpoint = loop.save_checkpoint, save
sys.exit(main(["train", *{arguments}]))
"""
# A real limit that needs no rights: no file grows beyond it.
LIMIT = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({}, -1))"
FILL = """
    with open({!r}, "wb", buffering=0) as file:
        try:
            while file.write(bytes(512)): pass
        except OSError: pass
"""


def train_until(happen, out):
    """Train; return what the process said when the first epoch was not the last."""
    arguments = [*RUN, "--out", str(out)]
    code = TRAIN.format(happen=happen, arguments=arguments)
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 1, run.stderr
    assert "Traceback" not in run.stderr
    assert run.stdout == ""
    (message,) = (x for x in run.stderr.splitlines() if x.startswith("bsnn: "))
    return message


def assert_resumes(out, unbroken):
    """Check that the first epoch is all there, and that the run goes on from it."""
    folder = runs.RunFolder(out)
    state = load_checkpoint(folder)
    assert (state["epoch"], state["within"]) == (1, None)
    assert folder.metrics().epoch.max() >= 1
    assert folder.config() == unbroken.config()
    assert {path.name for path in out.glob(".*")} == {runs.LOCK}
    assert cli.main(["train", *RUN, "--out", str(out), "--resume"]) == 0
    one, other = load_checkpoint(folder), load_checkpoint(unbroken)
    for a, b in zip(one["weights"], other["weights"], strict=True):
        assert torch.equal(a, b)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    out = tmp_path_factory.mktemp("unbroken")
    assert cli.main(["train", *RUN, "--out", str(out)]) == 0
    return runs.RunFolder(out)


@pytest.fixture
def disk(tmp_path):
    """Return the mount point of a small file system."""
    path = tmp_path / "disk"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(path)]
    if os.getuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a file system takes root")
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


@pytest.mark.cpp
@pytest.mark.slow
@pytest.mark.parametrize(
    ("limit", "name"), [(100, runs.METRICS), (50_000, runs.CHECKPOINT)]
)
def test_a_file_that_cannot_grow_ends_the_training(unbroken, tmp_path, limit, name):
    message = train_until(LIMIT.format(limit), tmp_path / "run")
    assert f"{name} cannot be written ([Errno {errno.EFBIG}]" in message
    assert "free space" in message
    assert_resumes(tmp_path / "run", unbroken)


@pytest.mark.cpp
@pytest.mark.slow
def test_a_full_disk_ends_the_training(unbroken, disk):
    filler = disk / "filler"
    message = train_until(FILL.format(str(filler)), disk / "run")
    assert f"cannot be written ([Errno {errno.ENOSPC}]" in message
    assert "free space" in message
    filler.unlink()
    assert_resumes(disk / "run", unbroken)


@pytest.mark.cpp
@pytest.mark.slow
def test_a_read_only_disk_refuses_a_training(unbroken, disk, capsys):
    train_until(FILL.format(str(disk / "filler")), disk / "run")
    (disk / "filler").unlink()
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    for out in (disk / "run", disk / "another"):
        assert cli.main(["train", *RUN, "--out", str(out), "--resume"]) == 1
        said = capsys.readouterr().err
        assert f"{out} cannot be written ([Errno {errno.EROFS}]" in said
        assert "choose another folder" in said
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    assert_resumes(disk / "run", unbroken)


def test_a_read_only_cache_is_one_message(disk, monkeypatch):
    monkeypatch.setenv("BSNN_CACHE", str(disk))
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with pytest.raises(BuildError, match=r"disk/kind cannot be .*name another folder"):
        build_once("kind", "key", lambda folder: None)


@pytest.mark.cpp
@pytest.mark.slow
def test_a_full_cache_is_one_message(disk, tmp_path):
    run = subprocess.run(
        [sys.executable, "-m", "bsnn", "train", *RUN, "--out", str(tmp_path / "run")],
        capture_output=True,
        text=True,
        env={**os.environ, "BSNN_CACHE": str(disk)},
    )
    assert run.returncode == 1
    assert f"bsnn: the build cache {disk}/loops has " in run.stderr
    assert run.stderr.count("the build cache") == 1
    assert "free space or name another folder in BSNN_CACHE" in run.stderr
    assert not (tmp_path / "run").exists()
    assert not list(disk.glob("*/*/"))


@pytest.mark.parametrize("free", [SPACE_NEEDED - 1, SPACE_NEEDED])
def test_a_failed_build_says_when_there_is_no_space(tmp_path, monkeypatch, free):
    def make(folder):
        raise BuildError("the compiler failed.")

    monkeypatch.setenv("BSNN_CACHE", str(tmp_path))
    usage = SimpleNamespace(free=free)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    with pytest.raises(BuildError, match="the compiler failed") as caught:
        build_once("kind", "key", make)
    assert ("name another folder in BSNN_CACHE" in str(caught.value)) == (
        free < SPACE_NEEDED
    )


def test_what_the_system_refuses_is_one_message(monkeypatch, capsys):
    def refuse(arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/tmp/x")

    monkeypatch.setattr(cli, "_doctor", refuse)
    assert cli.main(["doctor"]) == 1
    assert capsys.readouterr().err == (
        f"bsnn: [Errno {errno.ENOSPC}] {os.strerror(errno.ENOSPC)}: '/tmp/x'\n"
    )


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK])
def test_the_checkpoint_before_is_kept_without_hard_links(tmp_path, monkeypatch, code):
    codes = iter((code, errno.ENOSPC))

    def refuse(*_):
        raise OSError(next(codes), "refused")

    run = make_readers(tmp_path)["checkpoint"].path.parent
    whole = (run / runs.CHECKPOINT).read_bytes()
    monkeypatch.setattr(os, "link", refuse)
    write_checkpoint(runs.RunFolder(run))
    assert (run / runs.PREVIOUS).read_bytes() == whole
    with pytest.raises(RunFolderError, match=r"cannot be written .*refused"):
        write_checkpoint(runs.RunFolder(run))
    assert (run / runs.PREVIOUS).read_bytes() == whole


@pytest.mark.cpp
@pytest.mark.slow
def test_a_clock_set_back_does_no_harm(tmp_path, monkeypatch):
    clock = iter(range(10**9, 0, -3600))
    monkeypatch.setattr(time, "time", lambda: float(next(clock)))
    saved = []
    kept = loop.save_checkpoint

    def save(*arguments, **options):
        saved.append(options["epoch"])
        kept(*arguments, **options)

    monkeypatch.setattr(loop, "save_checkpoint", save)
    train_digits(tmp_path / "run")
    # A checkpoint after each of 15 batches in four epochs.
    assert saved == [0] * 14 + [1] * 15 + [2] * 15 + [3] * 15 + [4]
    assert min(runs.RunFolder(tmp_path / "run").metrics().seconds) > 0
