"""The bench compares what is equal, leaves nothing out, and says what is missing."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from bsnn import Spikes
from bsnn.analysis.figures import scaling
from bsnn.analysis.figures.style import new_figure
from bsnn.cli import main
from bsnn.errors import BackendUnavailable, DataError, ProgramError
from bsnn.training import SpikingNetwork, bench, peers
from bsnn.training.bench_report import PHASES, Spread
from bsnn.training.bench_scale import scale_points
from bsnn.training.settings import Settings

from . import oracles

TINY = Settings.reference(
    "mnist",
    layers=(20, 30, 10),
    v_threshold=(0.04, 0.1),
    dt_ms=5.0,
    batch_size=4,
    workers=2,
    precision="double",
)


@pytest.fixture
def workload():
    return bench.load_workload("synthetic", n_inputs=20, seed=1)


@pytest.fixture
def batch(workload):
    model = TINY.model()
    images = workload.images[:4]
    return model, bench.encode_ttfs(images, model), workload.labels[:4]


@pytest.fixture(scope="module")
def report():
    workload = bench.load_workload("synthetic", n_inputs=20, seed=1)
    return bench.run_bench(TINY, workload, repeats=5, batches=2, stock=False)


def test_spread_is_the_median_and_the_quartiles():
    values = [5.0, 1.0, 4.0, 2.0, 3.0]
    assert Spread.of(values) == Spread(median=3, low=2, high=4, n=5)


def test_synthetic_input_is_as_much_as_that_of_mnist():
    model = Settings.reference("mnist").model()
    drawn = bench.load_workload("synthetic", n_inputs=784, seed=0)
    inputs = bench.encode_ttfs(drawn.images, model)
    assert inputs.n_spikes / inputs.n_samples == pytest.approx(150, rel=0.02)
    # Uniform over the 100 ms of the encoding: its quarters hold as many spikes.
    quarters = np.bincount(inputs.step // 25, minlength=5) / inputs.n_spikes
    np.testing.assert_allclose(quarters, [0.25, 0.25, 0.25, 0.25, 0], atol=0.01)


@pytest.mark.cpp
def test_the_report_is_complete_and_survives_json(report):
    found = json.loads(report.to_json())
    assert list(found) == [field.name for field in dataclasses.fields(report)]
    assert list(found["phases"]) == list(PHASES)
    for spread in (*found["phases"].values(), found["fixed_cost"]):
        # The program's time is part of the call: the rest cannot be negative.
        assert 0 < spread["low"] <= spread["median"] <= spread["high"]
    assert found["phases"]["simulate"]["n"] == 10
    assert found["forward"]["n"] == found["training"]["n"] == 5
    assert found["memory"]["total"] > len(found["memory"]["programs"]) == 2
    setting = found["setting"]
    assert (setting["n_neurons"], setting["n_synapses"]) == (40, 900)
    assert (setting["n_steps"], setting["seed"], setting["workers"]) == (40, 0, 2)
    assert all(found["versions"][name] for name in ("python", "brian2", "torch"))
    assert found["machine"]["processor"]


@pytest.mark.cpp
def test_the_spikes_are_those_of_the_batches(report, workload):
    lit = np.count_nonzero(workload.images[:8]) / 8
    assert report.spikes[0] == lit
    assert min(report.spikes[1:]) > 0


@pytest.mark.cpp
def test_the_table_shows_every_measurement(report):
    lines = dict(line.split("  ", 1) for line in report.table().splitlines() if line)
    named = {*PHASES, "build", "fixed cost", "forward", "training", "peak memory"}
    assert named <= set(lines)
    assert f"{report.forward.median:.0f} samples/s" in lines["forward"]
    assert f"{1e3 * report.phases['encode'].median:.3f} ms" in lines["encode"]


@pytest.mark.cpp
def test_spikes_unlike_those_of_stock_brian2_are_told(report):
    spread = Spread.of([1.0])
    stock = {
        "n_samples": 4,
        "build_seconds": 1.0,
        "call": spread,
        "program": spread,
        "bsnn_call": spread,
        "ratio": 1.0,
        "spikes": [7],
        "bsnn_spikes": [8],
        "equal": False,
    }
    differing = dataclasses.replace(report, stock=[stock])
    assert differing.unequal and "NOT EQUAL" in differing.table()
    single = {**report.setting, "precision": "single"}
    assert not dataclasses.replace(differing, setting=single).unequal
    equal = dataclasses.replace(report, stock=[{**stock, "equal": True}])
    assert not equal.unequal and "equal spike by spike" in equal.table()


@pytest.mark.cpp
@pytest.mark.slow
def test_stock_brian2_spikes_as_the_resident_program(batch):
    model, inputs, _ = batch
    with SpikingNetwork(model, seed=3, workers=2, precision="double") as network:
        weights = [weight.detach().numpy() for weight in network.weights]
        found = bench.compare_stock(network, weights, inputs, "double", 2)
        ours = network.simulate(inputs)
    assert found["n_samples"] == 4
    assert min(found["spikes"]) > 0
    assert found["spikes"] == found["bsnn_spikes"] == [r.n_spikes for r in ours]
    assert found["equal"]
    assert found["call"].n == found["bsnn_call"].n == 2
    assert found["ratio"] > 0


def test_one_displaced_spike_is_a_difference():
    def spikes(steps):
        return Spikes.from_events(
            sample=[0, 0, 1],
            neuron=[2, 0, 2],
            step=steps,
            n_samples=2,
            n_neurons=3,
            dt=1e-3,
        )

    assert bench.same_spikes(spikes([4, 5, 6]), spikes([4, 5, 6]))
    assert not bench.same_spikes(spikes([4, 5, 6]), spikes([4, 5, 7]))


def test_a_missing_peer_says_how_to_install_it(batch, monkeypatch):
    monkeypatch.setattr(peers, "is_installed", lambda name: False)
    model, inputs, labels = batch
    weights = [np.zeros(shape) for shape in model.weight_shapes]
    options = {"target": (15, 3), "learning_rate": 0.1, "n_threads": 1, "repeats": 5}
    with pytest.raises(BackendUnavailable, match="pip install norse"):
        peers.run_peer("norse", model, weights, inputs, labels, **options)


@pytest.mark.cpp
def test_a_missing_peer_leaves_the_other_measurements(workload, monkeypatch):
    monkeypatch.setattr(peers, "is_installed", lambda name: False)
    found = bench.run_bench(
        TINY, workload, repeats=5, batches=1, stock=False, peers=["spyx"]
    )
    (peer,) = found.peers
    assert peer["name"] == "spyx" and "pip install spyx" in peer["error"]
    assert "pip install spyx" in found.table()
    assert found.forward.median > 0


def test_a_peer_that_fails_says_why(batch, monkeypatch):
    monkeypatch.setattr(peers, "PEERS", (*peers.PEERS, "unheard-of"))
    monkeypatch.setattr(peers, "is_installed", lambda name: True)
    model, inputs, labels = batch
    weights = [np.zeros(shape) for shape in model.weight_shapes]
    options = {"target": (15, 3), "learning_rate": 0.1, "n_threads": 1, "repeats": 5}
    with pytest.raises(ProgramError, match="unheard-of failed"):
        peers.run_peer("unheard-of", model, weights, inputs, labels, **options)


@pytest.mark.parametrize("name", peers.PEERS)
@pytest.mark.slow
def test_installed_peers_spike_about_as_the_model(name, batch):
    pytest.importorskip(name, reason=f"{name} is not installed", exc_type=ImportError)
    model, inputs, labels = batch
    with SpikingNetwork(model, seed=3, workers=1) as network:
        weights = [weight.detach().numpy() for weight in network.weights]
        ours = [record.n_spikes for record in network.simulate(inputs)]
    options = {"target": (15, 3), "learning_rate": 0.1, "n_threads": 2, "repeats": 5}
    found = peers.run_peer(name, model, weights, inputs, labels, **options)
    # Resets a step late or to zero, and spikes a step late, make few of them differ.
    np.testing.assert_allclose(found["spikes"], ours, rtol=0.35)
    assert len(found["forward_seconds"]) == len(found["training_seconds"]) == 5


def test_peers_take_the_input_and_the_constants_of_the_model(batch, tmp_path):
    model, inputs, labels = batch
    values = {
        "tau": [0.26, 0.13],
        "dt": model.dt_seconds,
        "n_steps": model.n_steps,
        "v_threshold": [0.04, 0.1],
        "target": [15, 3],
    }
    np.savez(
        tmp_path / "case.npz",
        case=json.dumps(values),
        sample=inputs.sample,
        step=inputs.step,
        neuron=inputs.neuron,
        labels=labels,
        weights0=np.ones((20, 30)),
        weights1=np.ones((30, 10)),
    )
    case = peers._Case(tmp_path / "case.npz")
    assert case.inputs.sum() == inputs.n_spikes
    k = inputs.n_spikes // 2
    assert case.inputs[inputs.step[k], inputs.sample[k], inputs.neuron[k]] == 1
    # A step takes (v, i_syn) from (0, 1) to (gain, syn_decay), and v alone decays.
    (v, i_syn), (v_alone, _) = (
        oracles.propagate(model.dt_seconds, *start, 0.26, 0.13)
        for start in ([0, 1], [1, 0])
    )
    found = [case.gain, case.syn_decay, case.mem_decay]
    np.testing.assert_allclose(found, [v, i_syn, v_alone], rtol=1e-12)
    assert (case.targets.sum(1) == 15 + 9 * 3).all()
    assert (case.targets[np.arange(4), labels] == 15).all()


def test_scaling_varies_each_axis_alone():
    base = Settings.reference("mnist")
    changed = {
        "hidden": {"layers"},
        "batch_size": {"batch_size"},
        "dt_ms": {"dt_ms"},
        "hidden_layers": {"layers", "v_threshold"},
    }
    seen = {}
    for axis, value, point in scale_points(base):
        seen.setdefault(axis, []).append(value)
        different = {
            name
            for name, given in point.to_dict().items()
            if given != base.to_dict()[name]
        }
        assert different <= changed[axis]
        assert point.model().n_layers == len(point.v_threshold)
    assert set(seen) == set(changed)
    assert seen["hidden"] == [200, 800, 3200] and seen["hidden_layers"] == [1, 2, 3]
    assert min(seen["batch_size"]) == 1 and max(seen["batch_size"]) == 1000


@pytest.fixture
def rows():
    return [
        {
            "axis": axis,
            "value": value,
            "memory_mib": 100.0 + value,
            **{
                f"{kind}_ms{end}": value * factor * scale
                for kind, factor in (("forward", 1), ("training", 3))
                for end, scale in (("", 1), ("_low", 0.9), ("_high", 1.2))
            },
        }
        for axis in scaling.AXES
        for value in (4.0, 1.0, 2.0)
    ]


def test_scaling_figures_draw_the_table(rows, tmp_path):
    paths = scaling.make_scaling_figures(rows, tmp_path)
    assert {path.suffix for path in paths} == {".pdf", ".png", ".csv"}
    saved = pd.read_csv(tmp_path / "scaling_time.csv")
    pd.testing.assert_frame_equal(saved, pd.DataFrame(rows), rtol=1e-12)
    ax = new_figure()[1][0]
    assert scaling.plot(pd.DataFrame(rows), ax, "dt_ms", "time") is ax
    (training,) = [c for c in ax.containers if c.get_label() == "training"]
    line, _, (bars,) = training.lines
    np.testing.assert_array_equal(line.get_xydata(), [[1, 3], [2, 6], [4, 12]])
    np.testing.assert_allclose(
        np.array(bars.get_segments())[0, :, 1], [2.7, 3.6], rtol=1e-12
    )
    assert ax.get_xlabel() == "Time step (ms)" and ax.get_ylabel() == "Minibatch (ms)"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--repeats 4 --workload synthetic", "'repeats' must be 5 or more, got 4"),
        ("--dt-ms 0 --workload synthetic", "'rule' must be 'grid' here"),
        ("--against brian", "'against' must name some of spyx, snntorch, norse"),
        ("--batch-size 0", "'batch_size' must be 1 or more"),
    ],
)
def test_impossible_arguments_are_told(arguments, message, capsys):
    assert main(["bench", *arguments.split()]) == 1
    assert message in capsys.readouterr().err


def test_mnist_that_is_asked_for_must_be_there(tmp_path, monkeypatch):
    with pytest.raises(DataError):
        bench.load_workload("mnist", n_inputs=784, seed=0, data_dir=tmp_path)
    with pytest.raises(ValueError, match="'workload' must be mnist or synthetic"):
        bench.load_workload("fashion", n_inputs=784, seed=0)
    drawn = bench.load_workload(None, n_inputs=784, seed=0, data_dir=tmp_path)
    assert drawn.name == "synthetic"
