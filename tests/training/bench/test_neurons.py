"""The bench of any neurons compares what is equal."""

import json

import numpy as np
import pytest
from brian2.units import ms

from bsnn import Connection, Inputs, Network, Population
from bsnn.cli.main import main
from bsnn.simulators.network import NetworkSimulator
from bsnn.simulators.stock_network import run_stock_network
from bsnn.training.bench import neurons
from bsnn.training.bench.compare import same_spikes
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


def test_the_report_shows_equal_spikes(monkeypatch):
    monkeypatch.setattr(neurons, "HIDDEN", {"chain": 20, "adex": 20})
    workload = load_workload("synthetic", n_inputs=784, seed=0)
    report = neurons.run_neurons_bench(
        workload, precision="double", seed=0, workers=1, repeats=5
    )
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
