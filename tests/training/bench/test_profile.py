"""Each code object of a program, timed."""

import numpy as np
import pytest

from bsnn.cli.main import main
from bsnn.training import DerivedNetwork, SpikeCountLoss
from bsnn.training.bench import neurons, profile
from bsnn.training.bench.profile import ProfileReport, profiled
from bsnn.training.bench.workload import load_workload

STEPS = 3


@pytest.mark.cpp
def test_every_code_object_is_timed_where_that_is_asked_for(monkeypatch, tmp_path):
    monkeypatch.setattr(neurons, "HIDDEN", {"chain": 20})
    network = neurons.chain_network()
    workload = load_workload("synthetic", n_inputs=784, seed=0)
    inputs, labels = neurons.batch_of(workload, network)
    loss = SpikeCountLoss()
    rows = profiled(
        network,
        neurons.CHAIN_WEIGHTS,
        inputs,
        labels,
        lambda activity, labels: loss([activity["hidden"], activity["out"]], labels),
        STEPS,
        {"precision": "single", "workers": 1},
    )
    found = {row["code"]: row for row in rows}
    codes = ["stateupdater", "spike_thresholder", "spike_resetter"]
    codes += ["adjoint_update", "adjoint_reset", "adjoint_crossing"]
    joins = ["projection_0", "adjoint_projection_0", "projection_1"]
    for name in [*joins, *(f"hidden_{code}" for code in codes)]:
        assert found[name]["calls"] > 0
    whole = found["run"]["seconds"] + found["pull_back"]["seconds"]
    clock = found["clock"]["seconds"]
    inside = sum(row["seconds"] for row in rows) - whole - clock
    assert inside < whole and 0 < clock < whole
    assert found["hidden_stateupdater"]["seconds"] > 0
    assert found["run"]["calls"] == found["pull_back"]["calls"] == 1
    # 200 steps of 50 samples; every spike of the inputs arrives at 20 neurons.
    update = found["hidden_stateupdater"]
    assert update["calls"] == 200 * 50
    assert (update["unit"], update["visits"]) == ("neuron and step", 200 * 50 * 20)
    arrivals = found["projection_0"]
    assert arrivals["unit"] == "synaptic event"
    assert arrivals["visits"] == 20 * inputs.n_spikes
    assert found["hidden_spike_resetter"]["unit"] == "spike"

    # Others are built and run as ever, also where a folder is named later.
    with DerivedNetwork(network, weights=neurons.CHAIN_WEIGHTS, workers=1) as net:
        monkeypatch.setenv("BSNN_PROFILE", str(tmp_path))
        net(inputs)
        assert b"-DBSNN_PROFILE" not in (net.simulator.folder / "makefile").read_bytes()
    assert not list(tmp_path.iterdir())


def test_the_table_says_what_a_visit_costs():
    def row(code, seconds, unit="", visits=0):
        values = {"code": code, "calls": 1.0, "seconds": seconds}
        return values | {"unit": unit, "visits": visits}

    report = ProfileReport(
        setting={"precision": "single"},
        machine={"processor": "one", "load": 0.5},
        versions={},
        networks={
            "a": [
                row("run", 0.0065),
                row("pull_back", 0.004),
                row("clock", 0.0005),
                row("hidden_stateupdater", 0.005, "neuron and step", 10**6),
                row("projection_0", 0.001, "synaptic event", 10**7),
            ]
        },
    )
    lines = report.table().splitlines()
    told = "10.000 ms: pull_back 4.00, run 6.50, of both the clock 0.50"
    assert told in lines[3]
    assert lines[4].split() == [
        "hidden_stateupdater",
        *"5.000 ms 50.0% 5.000 ns a neuron and step".split(),
    ]
    assert "0.100 ns a synaptic event" in lines[5]
    assert lines[6].split() == ["around", "them", "4.000", "ms", "40.0%"]
    assert not report.unequal


@pytest.mark.parametrize("other", [["--suite"], ["--recurrent"], ["--neurons"]])
def test_one_bench_at_a_time(other, capsys):
    assert main(["bench", "--profile", "--workload", "synthetic", *other]) != 0
    assert "has networks of its own, without" in capsys.readouterr().err


def test_an_environment_that_was_there_comes_back(monkeypatch):
    monkeypatch.setenv("BSNN_PROFILE", "mine")
    with profile.timed_programs() as folder:
        assert profile.os.environ["BSNN_PROFILE"] == str(folder)
        (folder / "1.tsv").write_text("a\t2\t0.5\n")
        (folder / "2.tsv").write_text("a\t1\t0.25\nb\t4\t1\n")
        table = profile.read_times(folder)
    assert profile.os.environ["BSNN_PROFILE"] == "mine"
    assert table.code.tolist() == ["a", "b"]
    np.testing.assert_allclose(table.seconds, [0.75, 1.0])
    assert table.calls.tolist() == [3, 4]
