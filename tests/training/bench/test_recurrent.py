"""The recurrent bench compares what is equal, and peers take the same network."""

import functools
import json

import numpy as np
import pytest
from scipy.linalg import expm

from bsnn import Inputs, Network, Population, Spikes
from bsnn.cli.main import main
from bsnn.equations.models import alif
from bsnn.simulators.network import NetworkSimulator
from bsnn.training.bench import growth, peers, recurrent
from bsnn.training.bench.peers.recurrent import run_recurrent_peer
from bsnn.training.bench.peers.recurrent.case import Case
from bsnn.training.bench.recurrent_network import ALIF, Recurrent

TINY = Recurrent(size=20, n_steps=60)
OPTIONS = {"settled": 1.0, "learning_rate": 0.0, "n_threads": 1, "repeats": 5}


@pytest.fixture
def small(monkeypatch):
    tiny = functools.partial(Recurrent, size=TINY.size, n_steps=TINY.n_steps)
    monkeypatch.setattr(recurrent, "Recurrent", tiny)
    monkeypatch.setattr(recurrent, "BATCH_SIZE", 4)


@pytest.mark.cpp
def test_spikes_and_traces_equal_those_of_stock_brian2(small):
    report = recurrent.run_recurrent_bench(
        precision="double", seed=1, workers=1, repeats=5
    )
    (stock,) = report.stock
    assert not report.unequal and min(report.found["spikes"]) > 5
    assert report.found["spikes"][1:] == stock["spikes"]
    assert stock["error"] < 1e-12  # of voltages around 1
    assert report.found["memory"]["total"] > 0
    json.loads(report.to_json())
    assert "equal spike by spike" in report.table()
    stock["equal"] = False
    assert report.unequal and "NOT EQUAL" in report.table()


@pytest.mark.cpp
def test_a_missing_peer_leaves_the_other_measurements(small, monkeypatch):
    monkeypatch.setattr(peers, "is_installed", lambda name: False)
    report = recurrent.run_recurrent_bench(
        precision="double", seed=1, workers=1, repeats=5, stock=False, peers=["norse"]
    )
    assert not report.unequal and report.stock == []
    assert "pip install norse" in report.table()


def test_too_few_repeats_are_refused():
    options = {"precision": "single", "seed": 0, "workers": 1, "repeats": 4}
    for run in (recurrent.run_recurrent_bench, growth.run_growth):
        with pytest.raises(ValueError, match="'repeats' must be 5 or more"):
            run(**options)


@pytest.mark.parametrize(
    "option",
    [
        ["--dt-ms", "0.5"],
        ["--workload", "synthetic"],
        ["--neurons"],
        ["--scale", "--against", "norse"],
        ["--scale", "--no-stock"],
    ],
)
def test_options_of_other_networks_are_refused(option, capsys):
    assert main(["bench", "--recurrent", *option]) != 0
    assert "'recurrent' has networks of its own, without" in capsys.readouterr().err


SYNAPTIC = """
import torch


class Synaptic:
    def __init__(self, *, alpha, beta, threshold):
        self.alpha, self.beta, self.threshold = alpha, beta, threshold

    def reset_mem(self):
        return torch.zeros(()), torch.zeros(())

    def __call__(self, current, syn, mem):
        syn = self.alpha * syn + current
        mem = self.beta * mem + syn
        spike = (mem > self.threshold).to(mem) + 0 * mem
        return spike, syn, mem - self.threshold * spike
"""


def _moved(spikes, steps):
    """Return spikes later by some steps; none of the last step."""
    kept = spikes.step < TINY.n_steps - 1
    return Spikes.from_events(
        sample=spikes.sample[kept],
        neuron=spikes.neuron[kept],
        step=spikes.step[kept] + steps,
        n_samples=spikes.n_samples,
        n_neurons=spikes.n_neurons,
        dt=spikes.dt,
    )


@pytest.mark.cpp
def test_a_peer_spikes_as_the_network(install_snntorch):
    """With a module in place of snnTorch that resets at once; no adaptation.

    Its inputs act in their own step, hence come a step later than ours.
    """
    install_snntorch(SYNAPTIC)
    given = TINY.network
    network = Network(
        [
            Inputs("in", 80),
            Population("hidden", TINY.size, alif(**ALIF | {"beta": 0})),
            given.named["out"],
        ],
        given.connections,
        dt=given.dt,
        duration=given.duration,
    )
    weights = list(TINY.weights(network, 3).values())
    drawn, labels = TINY.batch(4, 3)
    inputs, later = (_moved(drawn, steps) for steps in (0, 1))
    found = run_recurrent_peer("snntorch", network, weights, later, labels, **OPTIONS)
    alone = [weights[0], 0 * weights[1], weights[2]]
    with NetworkSimulator(network, workers=1) as simulator:
        ours, without_recurrence = (
            simulator.run(given, inputs).spikes["hidden"].n_spikes
            for given in (weights, alone)
        )
    assert found["spikes"] == [ours] and ours > 20
    assert ours != without_recurrence
    assert found["version"] == "9.9" and len(found["training_seconds"]) == 5


def test_peers_integrate_as_the_network(tmp_path):
    values = {"tau": [0.02, 0.005, 0.2], "dt": 1e-3, "n_steps": 30}
    np.savez(
        tmp_path / "case.npz",
        case=json.dumps(values),
        sample=[1],
        step=[4],
        neuron=[2],
        labels=[0, 1],
        **{f"weights{k}": np.ones((3, 3)) for k in range(3)},
    )
    case = Case(tmp_path / "case.npz")
    assert case.inputs.sum() == case.inputs[4, 1, 2] == 1
    step = expm(1e-3 * np.array([[-50.0, 50.0], [0, -200.0]]))  # of v and i_syn
    states = [np.array([0.0, 1.0])]  # after the step of the spike
    for _ in range(30):
        states.append(step @ states[-1])
    voltage = np.array(states)[:, 0]
    np.testing.assert_allclose(case.gain, voltage[1], rtol=1e-12)
    np.testing.assert_allclose(case.response[5:, 4], voltage[:25], rtol=1e-6)
    assert not case.response[:5, 4].any()


@pytest.mark.parametrize("name", peers.PEERS)
@pytest.mark.slow
def test_installed_peers_spike_about_as_the_network(name):
    pytest.importorskip(name, reason=f"{name} is not installed", exc_type=ImportError)
    network = TINY.network
    weights = list(TINY.weights(network, 3).values())
    inputs, labels = TINY.batch(8, 3)
    with NetworkSimulator(network, workers=1) as simulator:
        ours = simulator.run(weights, inputs).spikes["hidden"].n_spikes
    found = run_recurrent_peer(name, network, weights, inputs, labels, **OPTIONS)
    # Resets to zero or a step late make few of them differ.
    np.testing.assert_allclose(found["spikes"], [ours], rtol=0.35)
    assert found["version"] and len(found["training_seconds"]) == 5


def test_growth_varies_each_axis_alone():
    seen = {}
    for axis, value, point in growth.growth_points():
        seen.setdefault(axis, []).append(value)
        usual = growth.BASES.get(axis, Recurrent())
        changed = {n for n, v in vars(point).items() if v != getattr(usual, n)}
        assert changed <= {axis} and getattr(point, axis) == value
    assert max(seen["size"]) == 1024 and max(seen["n_steps"]) == 2000
    assert max(seen["delay"]) == 512 and min(seen["probability"]) == 0.05


@pytest.mark.cpp
def test_every_point_of_growth_becomes_a_row(monkeypatch):
    point = Recurrent(size=20, n_steps=40, delay=2, probability=0.5)
    monkeypatch.setattr(growth, "call_apart", lambda work, *given: work(*given))
    monkeypatch.setattr(growth, "growth_points", lambda: [("delay", 2, point)])
    (row,) = growth.run_growth(precision="double", seed=0, workers=1, repeats=5)
    pattern = point.network.connections[1].pattern
    assert row["synapses"] == 80 * 20 + len(pattern.i) + 20 * 10
    assert 0 < row["training_ms_low"] <= row["training_ms"] <= row["training_ms_high"]
    per_batch = 1e-6 * row["ns_per_event"] * row["events"] * row["samples"]
    np.testing.assert_allclose(per_batch, row["training_ms"], rtol=1e-9)
    header, line = growth.growth_table([row]).splitlines()
    assert len(header.split()) == len(line.split()) and line.split()[0] == "delay"


def test_arrivals_at_synapses_are_counted():
    assert TINY.synaptic_events((3, 2)) == 3 * 20 + 2 * (20 + 10)
    assert Recurrent(size=20, probability=0.1).synaptic_events((0, 1)) == 12
