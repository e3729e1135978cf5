"""Refusals and bounds that concern no one module alone."""

import ctypes
import dataclasses
import errno
import itertools
import os
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from brian2 import ms

import bsnn
from bsnn import gate, patterns, runs
from bsnn.analysis.study.rows import read_config
from bsnn.equations.models import lif
from bsnn.equations.units import in_seconds
from bsnn.errors import BackendUnavailable, RunFolderError
from bsnn.inputs.mel import Mel
from bsnn.inputs.sizes import as_n_classes
from bsnn.inputs.tasks import evidence, randman, sequence, store_recall
from bsnn.machine import n_cores
from bsnn.processes import forks, tasks
from bsnn.program.resident import Segment
from bsnn.settings import Settings
from bsnn.simulators import event, grid
from bsnn.targets.cuda import target as cuda_program
from bsnn.targets.cuda.target import CudaTarget
from bsnn.training import SpikingNetwork
from bsnn.training.constraints import Quantised
from bsnn.training.experiments import checkpoint, loop, sweep
from bsnn.training.experiments.progress import EpochProgress
from bsnn.training.linear import kernel
from tests.models import draw, grid_model
from tests.reliability.untrusted import make_network
from tests.simulators import test_event
from tests.training.experiments import sweep_folders
from tests.training.linear.test_gradient import TWO_MODES
from tests.training.linear.test_kernel import random_case


@pytest.mark.parametrize("n", [1, 2])
def test_cores_are_those_that_this_process_may_use(n, monkeypatch):
    allowed = os.sched_getaffinity(0)
    if len(allowed) < n:
        pytest.skip(f"needs {n} cores")
    monkeypatch.delenv("BSNN_THREADS", raising=False)
    os.sched_setaffinity(0, sorted(allowed)[-n:])
    try:
        assert n_cores() == n
    finally:
        os.sched_setaffinity(0, allowed)
    monkeypatch.setenv("BSNN_THREADS", "3")
    assert n_cores() == 3


def test_the_time_left_follows_from_the_epochs_done(monkeypatch, caplog):
    """A quarter after ten seconds: thirty are left."""
    clock = itertools.chain([100.0], itertools.repeat(110.0))
    monkeypatch.setattr(sweep.time, "monotonic", lambda: next(clock))
    cells = {name: SimpleNamespace(epochs=2) for name in "abcd"}
    tasks = [SimpleNamespace(name=name) for name in cells]
    with caplog.at_level("INFO"), sweep._Display(cells, tasks, show=False) as display:
        display.reach("b", 1)
        display.end("b", "")
        display.reach("c", 1)
        display.reach("d", 1)
        display.end("c", "no luck")
    assert [record.getMessage() for record in caplog.records] == [
        "b finished; 1 of 4 cells, 00:30 left",
        "c FAILED: no luck; 2 of 4 cells, 00:06 left",
    ]


@pytest.mark.cpp
@pytest.mark.parametrize("rule", ["grid", "quantised-event", "continuous"])
@pytest.mark.parametrize("neuron", [-1, 20])
def test_inputs_beyond_the_layer_are_refused(rule, neuron):
    if rule == "grid":
        model = grid_model()
    else:
        model = test_event.make_model([20, 3], 1 if rule == "quantised-event" else 0)
    weights = [np.zeros(shape) for shape in model.weight_shapes]
    with bsnn.make_simulator(model, workers=1) as simulator:
        with pytest.raises(ValueError, match=rf"'\w+' must .* 0\.\.19.*{neuron}"):
            good = bsnn.Spikes.from_events(
                sample=[0, 0],
                neuron=[0, 19],
                **({"step": [0, 1]} if model.dt_seconds else {"time": [0.0, 0.1]}),
                n_samples=1,
                n_neurons=20,
                dt=model.dt_seconds,
            )
            simulator.run(weights, good)  # the ends of the range
            spoiled = np.array([0, neuron], np.int32)
            simulator.run(weights, dataclasses.replace(good, neuron=spoiled))


@pytest.mark.cpp
def test_a_batch_has_at_most_as_many_steps_as_brian2_can_number(monkeypatch):
    assert gate.MAX_INT32 == np.iinfo(np.int32).max
    model = grid_model("two layers", 1)  # more steps than spikes
    weights, inputs = draw(model, np.random.default_rng(0), n_samples=4)
    monkeypatch.setattr(gate, "MAX_INT32", 3 * model.n_steps)
    with grid.GridSimulator(model, workers=1) as simulator:
        records = simulator.run(weights, inputs.select(0, 3))
        assert records[0].n_spikes > 0
        words = r"'inputs' must not hold more than 3 samples at this time step, got 4"
        with pytest.raises(ValueError, match=f"{words}; split the batch"):
            simulator.run(weights, inputs)


@pytest.mark.parametrize("shape", [(4, 5), (5, 4, 1), (6, 4)])
def test_a_checkpoint_that_does_not_fit_is_refused(shape):
    network, optimizer = make_network()
    before = [weight.detach().clone() for weight in network.weights]
    saved = [torch.zeros(tuple(weight.shape)) for weight in network.weights]
    state = {"weights": saved, "optimizer": optimizer.state_dict(), "n_clamped": 7}
    state["weights"] = [torch.zeros(shape), *saved[1:]]
    for restore in (
        lambda: checkpoint.restore_weights(network, state),
        lambda: checkpoint.restore_training(network, optimizer, state),
    ):
        with pytest.raises(
            RunFolderError, match="the checkpoint holds weights of shapes.*needs"
        ):
            restore()
    for weight, kept in zip(network.weights, before, strict=True):
        assert torch.equal(weight, kept)
    state["weights"] = saved
    checkpoint.restore_weights(network, state)
    assert all(not weight.any() for weight in network.weights)


def settings(**changes):
    return Settings.from_dict({**Settings.reference("digits").to_dict(), **changes})


def without_seed():
    values = Settings.reference("digits").to_dict()
    values.pop("dataset")
    return Settings.from_dict(values)


@pytest.mark.parametrize(
    ("refused", "error", "words"),
    [
        (lambda: bsnn.nonsense, AttributeError, "has no attribute 'nonsense'"),
        (lambda: bsnn.Model.from_dict({}), ValueError, "'values' describe no model"),
        (
            lambda: test_event.make_model([2, 1], 0, detect="crossing"),
            ValueError,
            "'detect' belongs to the rule 'grid'; leave it out",
        ),
        (
            lambda: in_seconds([1, 2] * ms, "dt"),
            ValueError,
            r"'dt' must be a scalar, got shape \(2,\)",
        ),
        (
            lambda: grid.GridSimulator(test_event.make_model([2, 1], 0)),
            ValueError,
            "'rule' must be 'grid' here, got 'continuous'",
        ),
        (
            lambda: Segment(64).view(0, np.int32, (-1,)),
            ValueError,
            "-1 numbers cannot be viewed",
        ),
        (
            lambda: settings(device="gpu"),
            ValueError,
            "'device' must be one of cpp, cuda, got 'gpu'",
        ),
        (without_seed, ValueError, "a setting is missing .*dataset"),
    ],
)
def test_refusals_by_their_words(refused, error, words):
    with pytest.raises(error, match=words):
        refused()


def test_sweeps_that_cannot_start(tmp_path):
    nothing = {"load": None, "measurement": None}
    with pytest.raises(ValueError, match="'parallel' is for processes of this machine"):
        sweep.run_sweep({}, tmp_path, **nothing, parallel=2, scheduler="tcp://here:1")
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="the folder .*/file/sweep cannot be used"):
        sweep.run_sweep({}, tmp_path / "file" / "sweep", **nothing)


@pytest.mark.parametrize(
    ("brian2cuda", "options", "error", "words"),
    [
        ("1.0", {"precision": "half"}, ValueError, "'precision' must be one of double"),
        ("1.0", {"replicas": 0}, ValueError, "'replicas' must be at least 1, got 0"),
        (None, {}, BackendUnavailable, "brian2cuda is not installed; `bsnn doctor`"),
        ("1.0", {}, BackendUnavailable, "nvcc was not found; see `bsnn doctor`"),
    ],
)
def test_cuda_programs_that_cannot_be_built(
    brian2cuda, options, error, words, monkeypatch
):
    def version(package):
        if brian2cuda is None:
            raise ImportError(package)
        return brian2cuda

    monkeypatch.setattr("importlib.metadata.version", version)
    monkeypatch.setattr(cuda_program, "find_nvcc", lambda: None)
    precision = options.pop("precision", "double")
    with pytest.raises(error, match=words):
        target = CudaTarget(**{"replicas": 1, "arch": 9.0, **options})
        target.build(grid_model(), precision=precision)


def test_a_gradient_on_a_gpu_needs_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(BackendUnavailable, match="finds no GPU.*take 'native'"):
        SpikingNetwork(test_event.make_model([2, 1], 0), backend="cuda")


# --- no memory left -------------------------------------------------------------------


@pytest.mark.cpp
def test_spikes_that_do_not_fit_in_memory_are_an_error():
    model = test_event.make_model([2, 1], 0)
    weights, inputs = test_event.draw(model, np.random.default_rng(0))
    with event.EventSimulator(model, workers=1) as simulator:
        full = dict.fromkeys(event.RUN.values(), lambda *_: event.OUT_OF_MEMORY)
        real, simulator._kernel = simulator._kernel, SimpleNamespace(**full)
        with pytest.raises(MemoryError, match="spikes of layer 1 do not fit in memory"):
            simulator.run(weights, inputs)
        simulator._kernel = real
        simulator.run(weights, inputs)


@pytest.mark.cpp
@pytest.mark.parametrize("when", ["begin", "finish"])
def test_a_gradient_without_memory_is_an_error(when, monkeypatch):
    pre, post, grad, weight = random_case(5)
    library, freed = kernel._library(), []
    failing = {"begin": (lambda *_: None, None), "finish": (lambda *_: 1, lambda _: 2)}
    begin, finish = failing[when]
    fake = SimpleNamespace(
        begin_gradient=begin, finish_gradient=finish, free_gradient=freed.append
    )
    with monkeypatch.context() as patch:
        patch.setattr(kernel, "_library", lambda: fake)
        with pytest.raises(MemoryError, match="no memory left for the native gradient"):
            kernel.layer_gradient(pre, post, grad, weight, TWO_MODES, slope_min=1.0)
    assert len(freed) == (when == "finish")
    assert kernel._library() is library


def test_an_epoch_does_not_go_on_from_damaged_measurements():
    def restore(state):
        raise ValueError("of another model")

    within = {
        "batch": 1,
        "loss": 0.5,
        "n_samples": 2,
        "seconds": 0.1,
        "measured": {},
    }
    words = r"the checkpoint is damaged \(of another model\); delete its folder"
    with pytest.raises(RunFolderError, match=words):
        EpochProgress(SimpleNamespace(restore=restore)).restore(within)


def test_a_model_has_a_neuron_for_each_layer():
    with pytest.raises(ValueError, match="'neurons' must have one.*2 layers.*got 1"):
        dataclasses.replace(grid_model(), neurons=grid_model().neurons[:1])


@pytest.mark.parametrize("option", [{"replicas": 2}, {"arch": 9.0}])
def test_options_of_a_gpu_are_not_ignored_without_one(option):
    with pytest.raises(ValueError, match="'replicas' and 'arch' belong to the device"):
        bsnn.make_simulator(grid_model(), **option)


@pytest.mark.parametrize("target", ["cuda", None, CudaTarget])
def test_a_name_or_a_kind_is_no_target(target):
    words = "'target' must be a CppTarget or CudaTarget, got .*; make_simulator.*device"
    with pytest.raises(TypeError, match=words):
        grid.GridSimulator(grid_model(), target)


def test_samples_are_for_training_or_for_testing():
    with pytest.raises(ValueError, match="'split' must be one of train, test, got 'va"):
        bsnn.load_dataset("digits").samples("valid", None, None)


@pytest.mark.cpp
def test_a_closed_simulator_hands_out_no_weights():
    with grid.GridSimulator(grid_model(), workers=1) as simulator:
        assert len(simulator.weight_arrays()) == 2
    with pytest.raises(RuntimeError, match="this GridSimulator has been closed"):
        simulator.weight_arrays()


def test_a_checkpoint_beyond_the_last_epoch_is_refused(tmp_path, monkeypatch):
    (tmp_path / runs.CHECKPOINT).touch()
    monkeypatch.setattr(loop, "load_checkpoint", lambda *_, **__: {"epoch": 3})
    settings = Settings.reference("digits", epochs=2)
    with pytest.raises(
        RunFolderError, match="checkpoint of epoch 3, but 2 epochs; del"
    ):
        loop._state_of(runs.RunFolder(tmp_path), settings)


def test_a_file_that_cannot_be_removed_is_told(tmp_path):
    (tmp_path / "there" / "inside").mkdir(parents=True)  # a folder is no file
    with pytest.raises(RunFolderError, match="there cannot be written .*before is int"):
        runs.RunFolder(tmp_path).remove("there")


@pytest.mark.parametrize("value", ["much", [0.1, None], 1e30])
def test_a_setting_that_is_no_number_is_damage(tmp_path, value):
    folder = sweep_folders.write_run(tmp_path)
    folder.write_json(runs.CONFIG, {**folder.config(), "spike_penalty": value})
    with pytest.raises(RunFolderError, match="config.json has spike_penalty = "):
        read_config(folder.path)


def test_a_log_that_cannot_be_written_is_told(tmp_path):
    words = "cell.log cannot be written on .*its folder must be there, and writable"
    with pytest.raises(RunFolderError, match=words):
        tasks._write_to(tmp_path / "gone" / "cell.log")


def test_memory_that_a_forked_child_cannot_have_is_told(monkeypatch):
    memory = forks.KeptMemory(-1, 4096)
    memory.keep(16)

    def refuse(*_):
        ctypes.set_errno(errno.ENOMEM)
        return forks._MAP_FAILED

    monkeypatch.setattr(forks, "_mmap", refuse)
    with pytest.raises(OSError, match="Cannot allocate memory"):
        memory.after_fork()


# Each count with the least that it may be, and a call in which only it may be wrong.
LEAST = {
    ("size", 1): lambda n: patterns.one_to_one(n),
    ("seed", 0): lambda n: patterns.random_pairs(3, 4, 0.5, seed=n),
    ("n_pre", 1): lambda n: patterns.random_pairs(n, 4, 0.5, seed=1),
    ("n_post", 1): lambda n: patterns.random_pairs(3, n, 0.5, seed=1),
    ("shape", 1): lambda n: patterns.convolution((1, n, 3), 2, 1),
    ("channels", 1): lambda n: patterns.convolution((1, 5, 5), n, 2),
    ("kernel", 1): lambda n: patterns.convolution((1, 5, 5), 1, n),
    ("stride", 1): lambda n: patterns.convolution((1, 5, 5), 1, 2, stride=n),
    ("padding", 0): lambda n: patterns.convolution((1, 5, 5), 1, 2, padding=n),
    ("shape", 1, "pooling"): lambda n: patterns.pooling((n, 4, 4), 2),
    ("size", 1, "pooling"): lambda n: patterns.pooling((1, 4, 4), n),
    ("size", 1, "inputs"): lambda n: bsnn.Inputs("in", n),
    ("size", 1, "population"): lambda n: bsnn.Population("out", n, lif()),
    ("n_cues", 1): lambda n: evidence.make(n_cues=n),
    ("group_size", 1): lambda n: evidence.make(group_size=n),
    ("group_size", 1, "slots"): lambda n: store_recall.make(group_size=n),
    ("n_slots", 2): lambda n: store_recall.make(n_slots=n),
    ("store_within", 1): lambda n: store_recall.make(store_within=n),
    ("n_symbols", 2): lambda n: sequence.make(n_symbols=n),
    ("length", 2): lambda n: sequence.make(length=n),
    ("n_slots", 2, "sequence"): lambda n: sequence.make(n_slots=n),
    ("n_test", 1): lambda n: sequence.make(n_test=n),
    ("n_classes", 1): lambda n: randman.make(n_classes=n),
    ("n_inputs", 1): lambda n: randman.make(n_inputs=n),
    ("n_dimensions", 1): lambda n: randman.make(n_dimensions=n),
    ("n_classes", 1, "labels"): lambda n: as_n_classes(n, [0]),
    ("n_bands", 1): lambda n: Mel(n_bands=n),
    ("n_bits", 1): lambda n: Quantised(n, 0.1),
}


@pytest.mark.parametrize("case", LEAST, ids=lambda case: " ".join(map(str, case)))
def test_a_count_below_the_least_is_named(case):
    name, least, *_ = case
    with pytest.raises(ValueError, match=f"'{name}' must be at least {least}, got"):
        LEAST[case](least - 1)
