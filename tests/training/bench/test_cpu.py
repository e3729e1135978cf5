"""The bench compares what is equal, leaves nothing out, and says what is missing."""

import dataclasses
import json
import time

import numpy as np
import pytest

from bsnn import Spikes
from bsnn.cli.main import main
from bsnn.training import SpikingNetwork
from bsnn.training.bench.compare import compare_stock, same_spikes
from bsnn.training.bench.cpu import run_bench
from bsnn.training.bench.measure import PHASES
from bsnn.training.bench.report import Spread
from tests.training.bench.conftest import TINY


@pytest.fixture(scope="module")
def report(workload):
    return run_bench(TINY, workload, repeats=5, batches=2, stock=False)


def test_spread_is_the_median_and_the_quartiles():
    values = [5.0, 1.0, 4.0, 2.0, 3.0]
    assert Spread.of(values) == Spread(median=3, low=2, high=4, n=5)


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
    for name in ("forward", "training"):
        assert f"{getattr(report, name).median:.0f} samples/s" in lines[name]
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
        start = time.perf_counter()
        found = compare_stock(network, weights, inputs, "double", 2)
        whole = time.perf_counter() - start
        ours = network.simulate(inputs)
    assert found["n_samples"] == 4
    assert min(found["spikes"]) > 0
    assert found["spikes"] == found["bsnn_spikes"] == [r.n_spikes for r in ours]
    assert found["equal"]
    assert found["call"].n == found["bsnn_call"].n == 2
    assert found["ratio"] > 0
    assert 0 < found["build_seconds"] < whole


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

    assert same_spikes(spikes([4, 5, 6]), spikes([4, 5, 6]))
    assert not same_spikes(spikes([4, 5, 6]), spikes([4, 5, 7]))


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
