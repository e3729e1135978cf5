"""Several processes train as one does, up to rounding, and go on as another number."""

import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from brian2.units import ms

import bsnn
from bsnn import runs
from bsnn.analysis import Measurement
from bsnn.cli.main import main
from bsnn.machine import n_cores
from bsnn.training.experiments import ranks
from bsnn.training.experiments.checkpoint import load_checkpoint
from bsnn.training.experiments.ranks import Ranks, Unwritten, is_first, together

# In double precision no spike is lost to rounding; the last batch has one sample.
OPTIONS = "digits --dt-ms 2 --n-train 201 --n-test 61 --batch-size 20 --seed 3"
OPTIONS = f"{OPTIONS} --precision double --workers 1".split()


def torchrun(*arguments, n_processes=2):
    """Train in processes that torchrun starts; return what they said."""
    return subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node", str(n_processes), "-m", "bsnn", *arguments),
        ],
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    out = tmp_path_factory.mktemp("alone") / "run"
    assert main(["train", *OPTIONS, "--epochs", "2", "--out", str(out)]) == 0
    return runs.RunFolder(out)


def assert_same(found, expected):
    one, other = load_checkpoint(found), load_checkpoint(expected)
    for name in ("weights", "chosen"):
        for a, b in zip(one[name], other[name], strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=1e-9)
    assert one["n_clamped"] == other["n_clamped"] > 0
    one, other = found.metrics(), expected.metrics()
    assert one.drop(columns=["loss", "seconds"]).equals(
        other.drop(columns=["loss", "seconds"])
    )
    np.testing.assert_allclose(one.loss, other.loss, rtol=1e-9)
    np.testing.assert_allclose(
        found.confidence().confidence, expected.confidence().confidence, atol=1e-12
    )
    one, other = found.summary(), expected.summary()
    for name in ("last", "validation", "n_clamped", "layer_spikes", "decision_ms"):
        assert one[name] == pytest.approx(other[name])


@pytest.mark.cpp
@pytest.mark.slow
def test_two_processes_train_as_one(alone, tmp_path):
    out = tmp_path / "run"
    done = torchrun("train", *OPTIONS, "--epochs", "2", "--out", str(out))
    assert_same(runs.RunFolder(out), alone)
    assert done.stdout.count("dt (ms)") == 1  # one of them says so
    assert done.stderr.count("epoch 2/2") == 1


@pytest.mark.cpp
@pytest.mark.slow
def test_any_number_goes_on_with_what_another_began(alone, tmp_path):
    out, more = tmp_path / "run", ["--resume", "--epochs"]
    torchrun("train", *OPTIONS, "--epochs", "1", "--out", str(out))
    assert main(["train", *OPTIONS, *more, "2", "--out", str(out)]) == 0
    assert_same(runs.RunFolder(out), alone)

    again = tmp_path / "again"
    assert main(["train", *OPTIONS, "--epochs", "1", "--out", str(again)]) == 0
    torchrun("train", *OPTIONS, *more, "2", "--out", str(again), n_processes=3)
    assert_same(runs.RunFolder(again), alone)


def test_each_sample_belongs_to_one_process():
    batch = np.arange(7)
    parts = [Ranks(rank, 3).part(batch) for rank in range(3)]
    assert np.array_equal(np.sort(np.concatenate(parts)), batch)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_measures_join_to_those_of_all_samples():
    rng = np.random.default_rng(3)
    model = bsnn.Model.dense(
        [4, 5, 3],
        v_threshold=1,
        tau_syn=10 * ms,
        tau_mem=20 * ms,
        dt=1 * ms,
        duration=20 * ms,
    )
    layers = [
        bsnn.Spikes.from_dense(rng.random((9, 20, size)) < 0.1, dt=1 * ms)
        for size in (5, 3)
    ]
    labels = rng.integers(0, 3, 9)
    whole = Measurement(model, 15)
    whole.add(layers, labels)
    states = []
    for start, stop in ((0, 4), (4, 4), (4, 9)):
        part = Measurement(model, 15)
        if stop > start:
            part.add([s.select(start, stop) for s in layers], labels[start:stop])
        states.append(part.state())
    joined = Measurement(model, 15)
    joined.join(states)
    for name, value in whole.summary().items():
        assert joined.summary()[name] == pytest.approx(value, nan_ok=True), name
    for one, other in zip(joined.confidence(), whole.confidence(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


class Others:
    """What another process would send, as torch.distributed hands it over."""

    def __init__(self, tensors=(), objects=()):
        self.tensors, self.objects = list(tensors), list(objects)

    def all_reduce(self, tensor):
        tensor += self.tensors.pop(0)

    def broadcast(self, tensor, source):
        assert source == 0
        tensor.copy_(self.tensors.pop(0))

    def all_gather_object(self, found, value):
        found[:] = [value, *self.objects]

    def broadcast_object_list(self, values):
        values[:] = self.objects


def test_gradients_are_summed_over_all_and_nothing_else(monkeypatch):
    """What has no gradient here may have one elsewhere; what is kept has none."""
    one, kept, other = (torch.ones(shape) for shape in ((2, 3), (4,), (2,)))
    for weight in (one, other):
        weight.requires_grad_()
    one.grad = torch.arange(6.0).reshape(2, 3)
    theirs = torch.tensor([10.0, 20, 30, 40, 50, 60, 7, 8])
    monkeypatch.setattr(ranks, "distributed", Others([theirs]))
    Ranks(1, 2).sum_gradients([one, kept, other])
    assert one.grad.tolist() == [[10, 21, 32], [43, 54, 65]]
    assert other.grad.tolist() == [7, 8]
    assert kept.grad is None
    assert one.eq(1).all() and other.eq(1).all()


def test_weights_begin_as_those_of_the_first_process(monkeypatch):
    weights = [torch.zeros(2, requires_grad=True), torch.zeros(3)]
    theirs = [torch.tensor([1.0, 2]), torch.tensor([3.0, 4, 5])]
    monkeypatch.setattr(ranks, "distributed", Others(theirs))
    Ranks().take_of_first(weights)
    assert not any(weight.any() for weight in weights)  # alone
    Ranks(1, 2).take_of_first(weights)
    assert [weight.tolist() for weight in weights] == [[1, 2], [3, 4, 5]]


def test_values_of_all_processes_are_known_to_all(monkeypatch):
    monkeypatch.setattr(ranks, "distributed", Others(objects=["theirs"]))
    assert Ranks(0, 2).gathered("mine") == ["mine", "theirs"]
    assert Ranks(1, 2).of_first("mine") == "theirs"
    assert [Ranks(rank, 2).first for rank in (0, 1)] == [True, False]


@pytest.mark.parametrize(
    ("size", "rank", "speaks"),
    [(None, None, True), ("1", "3", True), ("2", "0", True), ("2", "1", False)],
)
def test_one_process_speaks_for_all(size, rank, speaks, monkeypatch):
    for name, value in (("WORLD_SIZE", size), ("RANK", rank)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert is_first() == speaks


def test_a_process_that_is_not_the_first_writes_nothing(tmp_path):
    folder = Unwritten(tmp_path / "run")
    folder.check_free({}, resume=True, more_epochs=False)
    with folder.locked():
        folder.create({})
        folder.write_json(runs.CONFIG, {})
        folder.write_table(runs.METRICS, [], [])
        folder.write_epoch(runs.METRICS, 1, [])
        folder.remove(runs.CONFIG)
    assert list(tmp_path.iterdir()) == []


def test_processes_know_each_other_until_they_end(monkeypatch):
    for name, value in (("WORLD_SIZE", "3"), ("RANK", "2"), ("MASTER_ADDR", "here")):
        monkeypatch.setenv(name, value)
    said = []
    fake = SimpleNamespace(
        init_process_group=said.append,
        destroy_process_group=lambda: said.append("end"),
        get_rank=lambda: 2,
        get_world_size=lambda: 3,
    )
    monkeypatch.setattr(ranks, "distributed", fake)
    with pytest.raises(KeyError), together() as one:
        assert (one.rank, one.size, one.first) == (2, 3, False)
        assert said == ["gloo"]
        raise KeyError
    assert said == ["gloo", "end"]


@pytest.mark.parametrize("missing", ["RANK", "MASTER_ADDR"])
def test_half_an_environment_of_torchrun_is_refused(missing, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name in ("RANK", "MASTER_ADDR"):
        monkeypatch.setenv(name, "0")
    monkeypatch.delenv(missing)
    words = "'WORLD_SIZE' is 2 in the .*'RANK' or 'MASTER_ADDR' is missing"
    with pytest.raises(ValueError, match=words):
        with together():
            pass
    monkeypatch.setenv("WORLD_SIZE", "1")
    with together() as one:
        assert one.first and one.gathered(5) == [5] and one.of_first(5) == 5


def test_cores_are_shared_by_the_processes_of_torchrun(monkeypatch):
    monkeypatch.delenv("BSNN_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    for n_beside, expected in (("2", 4), ("3", 2), ("20", 1), ("", 8)):
        monkeypatch.setenv("LOCAL_WORLD_SIZE", n_beside)
        assert n_cores() == expected
