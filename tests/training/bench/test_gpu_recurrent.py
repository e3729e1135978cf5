"""The recurrent bench of a GPU, with the C++ target standing in for the GPU."""

import json

import pytest

from bsnn.cli.main import main
from bsnn.machine import find_gpus
from bsnn.training import DerivedNetwork
from bsnn.training.bench.gpu_recurrent import run_gpu_recurrent_bench
from tests.training.bench.test_recurrent import TINY

OPTIONS = {"precision": "double", "seed": 1, "workers": 1, "repeats": 5}


@pytest.mark.cpp
def test_every_number_of_replicas_is_measured_on_both_targets():
    asked = []

    def on_cpp(network, *, device, replicas=None, arch=None, workers=1, **options):
        asked.append((device, replicas))
        return DerivedNetwork(network, workers=workers, **options)

    report = run_gpu_recurrent_bench(
        **OPTIONS, replicas=(1, 3), workload=TINY, make=on_cpp
    )
    assert asked == [("cuda", 1), ("cpp", None), ("cuda", 3), ("cpp", None)]
    for point in report.points:
        for target in (point["cuda"], point["cpp"]):
            assert target["forward"].n == target["training"].n == 5
            assert target["forward"].median > target["training"].median > 0
            assert min(target["spikes"]) > 0
    assert not report.unequal and "in 2 of 2 rows" in report.table()
    assert json.loads(report.to_json())["points"][1]["replicas"] == 3
    report.points[0]["equal"] = False
    assert report.unequal and "in 1 of 2 rows" in report.table()


def test_no_replicas_are_refused():
    with pytest.raises(ValueError, match="'replicas' must name numbers above 0"):
        run_gpu_recurrent_bench(**OPTIONS, replicas=())


@pytest.mark.skipif(bool(find_gpus()), reason="there is a GPU")
def test_command_without_gpu_is_refused(capsys):
    assert main(["bench", "--recurrent", "--device", "cuda"]) == 1
    assert "no GPU was found" in capsys.readouterr().err


@pytest.mark.parametrize("option", [["--replicas", "3"], ["--cuda-arch", "9"]])
def test_options_of_a_gpu_are_refused_without_one(option, capsys):
    assert main(["bench", "--recurrent", *option]) != 0
    assert "'recurrent' has networks of its own, without" in capsys.readouterr().err
