"""All workloads in one report, and a report beside an older one."""

import json

import pytest

from bsnn.cli.main import main
from bsnn.errors import DataError
from bsnn.settings import Settings
from bsnn.training.bench import suite
from bsnn.training.bench.neurons import NeuronsReport
from bsnn.training.bench.recurrent import BATCH_SIZE, RecurrentReport
from bsnn.training.bench.regression import comparison_table, measures, read_report
from bsnn.training.bench.report import Report, Spread

MACHINE = {"processor": "P", "n_cores": 2, "load": 0.0}
SETTING = {"precision": "double", "workers": 2, "seed": 0, "dataset": "mnist"}
CHAIN = {"layers": [3, 2], "n_neurons": 2, "n_synapses": 6, "dt_ms": 1.0, "n_steps": 9}


def spread(median, width=0.01):
    return Spread(
        median=median, low=median * (1 - width), high=median * (1 + width), n=5
    )


def peer(forward, training):
    return {
        "name": "spyx",
        "version": "1",
        "forward": spread(forward),
        "training": spread(training),
        "training_cpu": 1.0,
        "spikes": [1.0],
        "peak_memory": 1,
    }


def reports(speed=1.0, equal=True):
    """The reports of all workloads, bsnn `speed` times as fast, others as ever."""
    stock = {
        "n_samples": 50,
        "build_seconds": 1.0,
        "call": spread(0.06),
        "program": spread(0.05),
        "bsnn_call": spread(0.002 / speed),
        "ratio": 30 * speed,
        "spikes": [7],
        "bsnn_spikes": [7],
        "equal": equal,
    }
    shared = {"machine": MACHINE, "versions": {}}
    memory = {"parent": 1, "programs": [1], "total": 2}
    chain = Report(
        setting={**SETTING, **CHAIN, "batch_size": 50, "warm_up_batches": 1},
        build={"seconds": 1.0, "cached": True},
        phases={"encode": spread(0.001)},
        forward=spread(20e3 * speed),
        training=spread(10e3 * speed),
        fixed_cost=spread(0.0002),
        memory=memory,
        spikes=[1.0],
        stock=[stock],
        peers=[peer(250, 200), {"name": "norse", "error": "not installed"}],
        **shared,
    )
    recurrent = RecurrentReport(
        setting={**SETTING, "size": 256, "n_steps": 500},
        found={
            "call": spread(0.01 / speed),
            "training": spread(0.02 / speed),
            "forward": spread(0.01),
            "backward": spread(0.01),
            "spikes": [1.0],
            "memory": memory,
            "training_cpu": 0.02,
        },
        stock=[
            {
                "call": spread(0.2),
                "build_seconds": 1.0,
                "spikes": [1.0],
                "equal": True,
                "error": 0.0,
            }
        ],
        peers=[peer(250, 125)],
        **shared,
    )
    neurons = NeuronsReport(
        setting=SETTING,
        peers=[peer(500, 100), {"name": "spyx", "error": "no AdEx"}],
        chain={
            "fast": spread(14e3 * speed),
            "modes": spread(9e3),
            "adjoint": spread(7e3 * speed),
            "spikes": [1.0],
            "equal": True,
        },
        adex={
            "call": spread(0.01 / speed),
            "training": spread(0.04 / speed),
            "stock": spread(0.2),
            "stock_build_seconds": 1.0,
            "spikes": [1.0],
            "stock_spikes": [1.0],
            "equal": True,
            "memory": memory,
        },
        **shared,
    )
    return {"chain": chain, "recurrent": recurrent, "neurons": neurons}


def as_json(speed=1.0):
    report = suite.SuiteReport(workloads=reports(speed))
    return json.loads(report.to_json())


@pytest.fixture
def measured(monkeypatch):
    """The suite, measuring nothing; what it was asked for."""
    asked = {}

    def run(name, *arguments, **options):
        asked[name] = options
        return reports()[name]

    for function, name in (
        ("run_bench", "chain"),
        ("run_recurrent_bench", "recurrent"),
        ("run_neurons_bench", "neurons"),
    ):
        monkeypatch.setattr(
            suite, function, lambda *a, name=name, **o: run(name, *a, **o)
        )
    monkeypatch.setattr(suite, "is_installed", lambda name: name == "norse")
    return asked


def test_measures_are_speeds_and_ratios_of_one_run():
    found = {name: m.median for name, m in measures(as_json()).items()}
    assert found == pytest.approx(
        {
            "chain, forward": 20e3,
            "chain, training": 10e3,
            "chain, call of 50 / stock Brian2": 30,
            "chain, forward / spyx": 80,
            "chain, training / spyx": 50,
            "recurrent, forward": BATCH_SIZE / 0.01,
            "recurrent, training": BATCH_SIZE / 0.02,
            "recurrent, forward / stock Brian2": 20,
            "recurrent, forward / spyx": 20,
            "recurrent, training / spyx": 20,
            "neurons, chain, fast path": 14e3,
            "neurons, chain, modes": 9e3,
            "neurons, chain, modes / fast path": 9 / 14,
            "neurons, chain, adjoint": 7e3,
            "neurons, chain, adjoint / fast path": 0.5,
            "neurons, AdEx, calls": 100,
            "neurons, AdEx, calls / stock Brian2": 20,
            "neurons, AdEx, training steps": 25,
            "neurons, AdEx, forward / spyx": 10,
            "neurons, AdEx, training / spyx": 12.5,
        }
    )


@pytest.mark.parametrize(
    ("speed", "slower"), [(0.8, True), (0.97, False), (1.2, False)]
)
def test_what_became_slower_is_marked(speed, slower):
    lines = comparison_table(as_json(speed), as_json()).splitlines()[1:]
    (training,) = [line for line in lines if line.startswith("chain, training   ")]
    assert f"{speed:.2f}" in training and ("slower" in training) == slower
    # Both sides of this ratio fell; modes did not.
    assert "slower" not in next(x for x in lines if "adjoint / fast path" in x)
    (modes,) = [line for line in lines if "chain, modes  " in line]
    assert "1.00" in modes and "slower" not in modes


def test_overlapping_quartiles_are_no_regression():
    old, new = as_json(), as_json()
    new["workloads"]["chain"]["training"] = vars(spread(9e3, width=0.2))
    lines = comparison_table(new, old).splitlines()
    (training,) = [line for line in lines if line.startswith("chain, training   ")]
    assert "0.90" in training and "slower" not in training


def test_a_comparison_is_a_line_a_measure():
    old, new = (as_json(speed)["workloads"]["recurrent"] for speed in (1, 1.5))
    head, *lines = comparison_table(new, old).splitlines()
    assert head.split() == ["measure", "before", "now", "ratio"]
    speeds = [BATCH_SIZE / seconds for seconds in (0.01, 0.02)]
    assert [line.rsplit(maxsplit=3) for line in lines] == [
        ["forward / stock Brian2", "20", "30", "1.50"],
        *(
            [name, f"{speed:,.0f}", f"{1.5 * speed:,.0f}", "1.50"]
            for name, speed in zip(("forward", "training"), speeds, strict=True)
        ),
        ["forward / spyx", "20", "30", "1.50"],
        ["training / spyx", "20", "30", "1.50"],
    ]


@pytest.mark.parametrize(("value", "text"), [(99.94, "99.9"), (100, "100")])
def test_a_hundred_is_shown_whole(value, text):
    old = as_json()["workloads"]["chain"]
    new = {**old, "training": vars(spread(value))}
    line = next(
        line
        for line in comparison_table(new, old).splitlines()
        if line.startswith("training   ")
    )
    assert line.split()[:3] == ["training", "10,000", text]
    assert line.split()[-1] == "slower"


def test_what_touches_the_old_quartile_is_not_slower():
    """Less than 95 % is slower if the quartiles are apart, 95 % never is."""
    old = as_json()["workloads"]["chain"]
    before = {"median": 100.0, "low": 96.0, "high": 104.0, "n": 5}

    def marked(median, high):
        now = {"median": median, "low": median - 1, "high": high, "n": 5}
        one, other = ({**old, "training": t} for t in (now, before))
        lines = comparison_table(one, other).splitlines()
        return "slower" in next(x for x in lines if x.startswith("training   "))

    assert marked(94.0, 95.9)
    assert not marked(94.0, 96.0)
    assert not marked(95.0, 95.5)


def test_a_ratio_that_fell_is_slower_without_quartiles():
    old, new = (as_json()["workloads"]["chain"] for _ in range(2))
    new["stock"][0]["ratio"] = 20.0
    lines = comparison_table(new, old).splitlines()
    (line,) = [x for x in lines if x.startswith("call of 50 / stock Brian2")]
    assert line.split()[-4:] == ["30", "20", "0.67", "slower"]


def test_a_report_of_a_gpu_is_compared_with_its_processor():
    def point(replicas, cuda, cpp):
        return {
            "replicas": replicas,
            "cuda": {"forward": vars(spread(cuda)), "training": vars(spread(cuda / 4))},
            "cpp": {"forward": vars(spread(cpp)), "training": vars(spread(cpp / 2))},
        }

    found = measures({"points": [point(1, 80.0, 40.0), point(16, 900.0, 100.0)]})
    assert {name: m.median for name, m in found.items()} == {
        "forward at 1 replicas": 80,
        "forward at 1 replicas / C++": 2,
        "training at 1 replicas": 20,
        "training at 1 replicas / C++": 1,
        "forward at 16 replicas": 900,
        "forward at 16 replicas / C++": 9,
        "training at 16 replicas": 225,
        "training at 16 replicas / C++": 4.5,
    }


def test_other_options_have_nothing_to_compare():
    workloads = as_json()["workloads"]
    with pytest.raises(DataError, match="they measured different things"):
        comparison_table(workloads["neurons"], workloads["recurrent"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("[1]", "must be a report of 'bsnn bench --out'"),
        ('{"workloads": 3}', "must be a report of 'bsnn bench --out'"),
        ('{"forward": 1, "training": 2, "stock": []}', "must be a report"),
        ('{"chain": {"fast": {"median": "x"}}, "adex": {}}', "must be a report"),
        (None, "cannot be read"),
    ],
)
def test_what_is_no_report_is_refused(tmp_path, text, message, capsys):
    path = tmp_path / "old.json"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_report(path)
    assert main(["bench", "--compare", str(path)]) == 1
    assert "old.json" in capsys.readouterr().err


def test_the_command_measures_all_and_keeps_json_and_page(measured, tmp_path, capsys):
    out, old = tmp_path / "new.json", tmp_path / "old.json"
    old.write_text(json.dumps(as_json(2.0)), encoding="utf-8")
    command = ["bench", "--suite", "--workload", "synthetic", "--repeats", "5"]
    command += ["--compare", str(old), "--out", str(out), "--precision", "double"]
    assert main(command) == 0
    assert json.loads(out.read_text("utf-8")) == as_json()
    page = out.with_suffix(".md").read_text("utf-8")
    for name, report in reports().items():
        assert f"## {name}" in page and report.table() in page
    assert "slower" in capsys.readouterr().out
    assert all(o["peers"] == ["norse"] for o in measured.values())
    assert all(o["repeats"] == 5 for o in measured.values())
    assert measured["neurons"]["precision"] == "double"


def test_each_workload_is_asked_for_what_belongs_to_it(measured):
    settings = Settings.reference("digits", precision="double", seed=4, workers=3)
    numbers = {"precision": "double", "seed": 4, "workers": 3}
    report = suite.run_suite(settings, "workload")
    beside = {"repeats": 7, "stock": True, "peers": ["norse"]}  # what is installed
    assert list(report.workloads) == ["chain", "recurrent", "neurons"]
    assert measured == {
        "chain": beside,
        "recurrent": numbers | beside,
        "neurons": numbers | {"repeats": 7, "peers": ["norse"]},
    }
    suite.run_suite(settings, "workload", repeats=5, stock=False, peers=[])
    asked = {"repeats": 5, "stock": False, "peers": []}
    assert measured["chain"] == asked
    assert measured["recurrent"] == numbers | asked


def test_a_suite_compares_all_workloads():
    found = reports()
    report = suite.SuiteReport(workloads=found)
    whole = sum(len(part.comparisons) for part in found.values())
    assert len(report.comparisons) == whole >= 3
    assert not report.unequal
    page = report.to_page()
    assert page.startswith("# Benchmark\n\n## chain\n\n```text\n")
    assert page.endswith(f"{found['neurons'].table()}\n```\n")
    parts = report.table().split("\n\nrecurrent\n---------\n")
    assert parts[0] == f"chain\n-----\n{found['chain'].table()}"
    assert parts[1].startswith(found["recurrent"].table())


def test_unequal_spikes_of_any_workload_fail_the_suite(measured, monkeypatch, tmp_path):
    found = reports(equal=False)
    monkeypatch.setattr(suite, "run_bench", lambda *a, **o: found["chain"])
    command = ["bench", "--suite", "--workload", "synthetic"]
    assert main([*command, "--out", str(tmp_path / "b.json")]) == 1


@pytest.mark.parametrize("old", ["recurrent", "chain"])
def test_what_was_measured_is_kept_if_it_cannot_be_compared(old, measured, tmp_path):
    out, path = tmp_path / "new.json", tmp_path / "old.json"
    path.write_text(json.dumps(as_json()["workloads"][old]), encoding="utf-8")
    command = ["bench", "--suite", "--workload", "synthetic", "--compare", str(path)]
    assert main([*command, "--out", str(out)]) == 1
    assert json.loads(out.read_text("utf-8")) == as_json()


def test_json_and_page_have_names_of_their_own(measured, tmp_path, capsys):
    command = ["bench", "--suite", "--workload", "synthetic"]
    assert main([*command, "--out", str(tmp_path / "bench.md")]) == 1
    assert "'out' must not end in .md" in capsys.readouterr().err
    assert not measured


@pytest.mark.parametrize(
    "option",
    [
        ["--recurrent"],
        ["--dt-ms", "2"],
        ["--scale"],
        ["--device", "cuda"],
        ["--cuda-arch", "9"],
        ["--replicas", "3"],
    ],
)
def test_the_suite_has_networks_of_its_own(option, capsys):
    assert main(["bench", "--suite", *option]) == 1
    assert "'suite' has networks of its own, without" in capsys.readouterr().err


def test_a_report_from_before_adex_had_peers_is_read():
    old = as_json()
    del old["workloads"]["neurons"]["peers"]
    assert set(measures(as_json())) - set(measures(old)) == {
        "neurons, AdEx, forward / spyx",
        "neurons, AdEx, training / spyx",
    }
