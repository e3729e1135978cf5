"""The GPU stage of the bench, with the C++ target standing in for the GPU."""

import dataclasses
import json

import pytest

from bsnn.cli.main import main
from bsnn.machine import find_gpus
from bsnn.training.bench import gpu, peers
from bsnn.training.bench.measure import PHASES
from bsnn.training.bench.report import Spread
from bsnn.training.from_settings import make_network
from tests.training.bench.conftest import TINY

SETTINGS = dataclasses.replace(TINY, device="cuda", workers=1)


@pytest.fixture(scope="module")
def asked():
    """Replicas, device and batch size of each network that was asked for."""
    return []


@pytest.fixture(scope="module")
def report(workload, asked):
    def on_cpp(settings, model):
        asked.append((settings.device, settings.replicas, settings.batch_size))
        # Every network begins with weights of its own.
        there = {"device": "cpp", "replicas": None, "seed": len(asked)}
        return make_network(dataclasses.replace(settings, **there), model)

    with pytest.MonkeyPatch.context() as missing:
        missing.setattr(peers, "is_installed", lambda name: False)
        return gpu.run_gpu_bench(
            SETTINGS,
            workload,
            replicas=(1, 6),
            repeats=5,
            batches=2,
            peers=["snntorch"],
            make=on_cpp,
        )


@pytest.mark.cpp
def test_every_number_of_replicas_is_measured_on_both_targets(report, asked):
    assert [(p["replicas"], p["batch_size"]) for p in report.points] == [(1, 1), (6, 6)]
    assert {("cuda", 1, 1), ("cuda", 6, 6), ("cpp", None, 1), ("cpp", None, 6)} <= set(
        asked
    )
    for point in report.points:
        for target in (point["cuda"], point["cpp"]):
            assert target["forward"].n == target["training"].n == 5
            assert target["forward"].median > 0 and target["training"].median > 0
            # A call is its simulation and the fixed cost.
            assert 0 < target["fixed_cost"].median < target["call"].median
            assert list(target["phases"]) == list(PHASES)


@pytest.mark.cpp
def test_both_targets_have_the_same_weights_and_input(report):
    for point in report.points:
        assert point["equal"]
        assert point["cuda"]["spikes"] == point["cpp"]["spikes"]
        assert min(point["cuda"]["spikes"]) > 0
    assert not report.unequal


@pytest.mark.cpp
def test_a_given_batch_size_holds_for_every_number_of_replicas(workload):
    report = gpu.run_gpu_bench(
        SETTINGS,
        workload,
        replicas=[2, 3],
        batch_size=6,
        repeats=5,
        batches=1,
        make=lambda s, m: make_network(dataclasses.replace(s, device="cpp"), m),
    )
    assert [point["batch_size"] for point in report.points] == [6, 6]


@pytest.mark.cpp
def test_batches_are_as_many_as_asked_for_or_few_large_ones(workload, monkeypatch):
    monkeypatch.setattr(gpu, "SAMPLES", 12)
    report = gpu.run_gpu_bench(
        SETTINGS,
        workload,
        replicas=[1, 4, 12],
        repeats=5,
        batches=5,
        make=lambda s, m: make_network(dataclasses.replace(s, device="cpp"), m),
    )
    assert [point["batches"] for point in report.points] == [5, 3, 2]


@pytest.mark.cpp
def test_the_report_survives_json(report):
    found = json.loads(report.to_json())
    assert list(found) == [field.name for field in dataclasses.fields(report)]
    assert found["machine"]["gpu"] == (find_gpus() or "none")
    assert found["points"][1]["cuda"]["forward"]["n"] == 5
    assert found["setting"]["n_synapses"] == 900
    assert "pip install snntorch" in found["peers"][0]["error"]


@pytest.mark.cpp
def test_the_table_has_a_row_for_each_number_of_replicas(report):
    def made(forward):
        spread = {name: Spread.of([forward]) for name in ("forward", "training")}
        costs = {name: Spread.of([0.00321]) for name in ("call", "fixed_cost")}
        return {**report.points[1]["cpp"], **spread, **costs}

    point = {**report.points[1], "replicas": 1000, "batch_size": 2000}
    point |= {"cuda": made(60000.0), "cpp": made(20000.0), "equal": False}
    peer = {
        "name": "snntorch",
        "version": "9.9",
        "forward": Spread.of([500.0]),
        "training": Spread.of([250.0]),
        "spikes": [1.0, 2.0],
        "peak_memory": 2**30,
    }
    broken = {"name": "norse", "error": "norse failed.\nTraceback\nNo CUDA here"}
    shown = dataclasses.replace(
        report, points=[report.points[0], point], peers=[peer, broken]
    )
    lines = [line.split() for line in shown.table().splitlines()]
    speeds = ["60000", "20000", "3.0"]
    assert ["1000", "2000", *speeds, *speeds, "3.21", "3.21"] in lines
    assert "in 1 of 2 rows" in shown.table()
    assert "bsnn is 120.0 times as fast" in shown.table()
    assert ["norse", "norse", "failed.", "No", "CUDA", "here"] in lines
    assert shown.unequal
    single = {**report.setting, "precision": "single"}
    assert not dataclasses.replace(shown, setting=single).unequal


@pytest.mark.skipif(bool(find_gpus()), reason="there is a GPU")
def test_bench_without_gpu_is_refused_at_once(capsys, tmp_path, monkeypatch):
    late = "bsnn.training.bench.workload.load_workload"
    monkeypatch.setattr(late, lambda *_, **__: pytest.fail("late"))
    out = tmp_path / "bench.json"
    assert main(["bench", "--device", "cuda", "--out", str(out)]) == 1
    assert "no GPU was found" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("arguments", ["", "--device cuda --scale"])
def test_replicas_need_the_gpu_stage(arguments, capsys):
    given = ["bench", "--replicas", "4", "--workload", "synthetic"]
    assert main([*given, *arguments.split()]) == 1
    assert "'replicas' needs the device 'cuda'" in capsys.readouterr().err


@pytest.mark.parametrize("replicas", [[], [4, 0]])
def test_replicas_are_positive(replicas, workload):
    with pytest.raises(ValueError, match="'replicas' must name numbers above 0"):
        gpu.run_gpu_bench(SETTINGS, workload, replicas=replicas)
