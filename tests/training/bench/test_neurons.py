"""The bench of any neurons compares what is equal."""

import json

import numpy as np
import pytest
from brian2.units import ms

from bsnn import Connection, Inputs, Network, Population
from bsnn.cli.main import main
from bsnn.simulators.network import NetworkSimulator
from bsnn.simulators.stock_network import run_stock_network
from bsnn.training.bench import neurons, peers
from bsnn.training.bench.compare import same_spikes
from bsnn.training.bench.peers.adex import run_adex_peer
from bsnn.training.bench.workload import load_workload
from tests.neurons import CASES, all_neurons, draw

pytestmark = pytest.mark.cpp


def test_stock_networks_begin_each_sample_anew():
    """A hard reset, refractory periods and values per neuron; last spikes late."""
    names = ["lif", "each"]
    network = Network(
        [Inputs("inputs", 12), *(Population(n, 5, CASES[n].neuron) for n in names)],
        [Connection("inputs", n, on_pre=CASES[n].on_pre) for n in names],
        dt=0.1 * ms,
        duration=20 * ms,
    )
    weights, inputs = draw(network, np.random.default_rng(0), n_samples=3)
    stock = run_stock_network(network, weights, inputs, repeats=2)
    assert len(stock.call_seconds) == len(stock.program_seconds) == 2
    with NetworkSimulator(network) as simulator:
        ours = simulator.run(weights, inputs).spikes
    for name in names:
        assert ours[name].n_spikes > 20
        assert same_spikes(ours[name], stock.records[name])


def test_what_stock_brian2_cannot_be_given_is_refused():
    with pytest.raises(ValueError, match="'current' has currents or noise"):
        run_stock_network(all_neurons(names=["current"]), [], {})
    with pytest.raises(ValueError, match="carry spikes into the next sample"):
        run_stock_network(all_neurons(names=["lif"]), [], {})


@pytest.mark.slow
def test_norse_spikes_about_as_the_network():
    pytest.importorskip("norse", reason="norse is not installed", exc_type=ImportError)
    network = neurons.adex_network()
    workload = load_workload("synthetic", n_inputs=784, seed=0)
    inputs, labels = neurons.batch_of(workload, network)
    rng = np.random.default_rng(0)
    weights = [
        rng.uniform(*drawn, shape)
        for drawn, shape in zip(
            neurons.ADEX_WEIGHTS.values(), network.weight_shapes, strict=True
        )
    ]
    with NetworkSimulator(network, precision="single") as simulator:
        ours = [s.n_spikes for s in simulator.run(weights, inputs).spikes.values()]
    found = run_adex_peer(
        "norse",
        network,
        weights,
        inputs,
        labels,
        learning_rate=0.0,
        target=(15, 3),
        n_threads=2,
        repeats=5,
    )
    # It fires where the upstroke begins, and its synapses have no reversal potential.
    assert 0.5 * ours[0] < found["spikes"][0] < 2 * ours[0]
    assert found["spikes"][1] > 0 and len(found["training_seconds"]) == 5


def test_the_report_shows_equal_spikes(monkeypatch):
    monkeypatch.setattr(neurons, "HIDDEN", {"chain": 20, "adex": 20})
    monkeypatch.setattr(peers, "is_installed", lambda name: False)
    workload = load_workload("synthetic", n_inputs=784, seed=0)
    report = neurons.run_neurons_bench(
        workload,
        precision="double",
        seed=0,
        workers=1,
        repeats=5,
        peers=["norse", "spyx"],
    )
    norse, spyx = (peer["error"] for peer in report.peers)
    assert "norse is not installed" in norse and spyx == "spyx has no AdEx neurons."
    assert norse in report.table() and spyx in report.table()
    assert not report.unequal
    assert report.adex["spikes"] == report.adex["stock_spikes"]
    # So few hidden neurons drive no output.
    assert min(report.chain["spikes"] + report.adex["spikes"][:1]) > 0
    json.loads(report.to_json())
    assert "spike by spike" in report.table()
    report.adex["equal"] = False
    assert report.unequal and "NOT EQUAL" in report.table()


def test_too_few_repeats_are_refused():
    with pytest.raises(ValueError, match="'repeats' must be 5 or more"):
        neurons.run_neurons_bench(
            None, precision="double", seed=0, workers=1, repeats=4
        )


@pytest.mark.parametrize("option", [["--dt-ms", "0.5"], ["--scale"], ["--no-stock"]])
def test_options_of_other_networks_are_refused(option, capsys):
    assert main(["bench", "--neurons", "--workload", "synthetic", *option]) != 0
    assert "'neurons' has networks of its own, without" in capsys.readouterr().err
