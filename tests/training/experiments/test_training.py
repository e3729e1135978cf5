"""Training: the network as a torch module, run folders, resuming, the command line."""

import json
import os
import shutil
import signal
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import bsnn
from bsnn import runs
from bsnn.analysis import Measurement
from bsnn.cli.arguments import make_parser
from bsnn.cli.main import _settings_of, main
from bsnn.errors import RunFolderError
from bsnn.presets import PRESETS
from bsnn.settings import Settings
from bsnn.training import SpikeCountLoss, SpikingNetwork
from bsnn.training.experiments.checkpoint import load_checkpoint
from bsnn.training.experiments.evaluation import evaluate_run
from bsnn.training.experiments.loop import train
from bsnn.training.from_settings import initial_means, make_network, slopes_min
from bsnn.training.spike_times import crossings
from tests.oracles import grid as oracles

pytestmark = pytest.mark.cpp

TINY = "digits --dt-ms 2 --epochs 2 --n-train 200 --n-test 100".split()


@pytest.fixture(scope="module")
def network():
    settings = Settings.reference("digits", dt_ms=2.0)
    with SpikingNetwork(settings.model(), seed=3, workers=1) as opened:
        yield opened


@pytest.fixture(scope="module")
def digits():
    return bsnn.load_dataset("digits")


@pytest.fixture
def batch(network, digits):
    inputs = bsnn.encode_ttfs(digits.train_images[:30], network.model)
    return inputs, digits.train_labels[:30]


def test_torch_optimisers_reduce_the_loss(network, batch):
    inputs, labels = batch
    loss = SpikeCountLoss()
    for kind, rate in (
        (torch.optim.Adam, 0.003),
        (torch.optim.SGD, 1.0),
        (torch.optim.RMSprop, 0.003),
    ):
        for weight, shape in zip(
            network.weights, network.model.weight_shapes, strict=True
        ):
            weight.data = torch.from_numpy(
                np.random.default_rng(3).uniform(-1, 1, shape).astype(np.float32)
            )
        optimizer = kind(network.parameters(), lr=rate)
        values = []
        for _ in range(12):
            optimizer.zero_grad()
            value = loss(network(inputs), labels)
            value.backward()
            optimizer.step()
            values.append(value.item())
        assert values[-1] < 0.97 * values[0], kind


def test_gradients_reach_every_layer_and_add_up(network, batch):
    inputs, labels = batch
    loss = SpikeCountLoss()
    network.zero_grad()
    loss(network(inputs), labels).backward()
    once = [weight.grad.clone() for weight in network.weights]
    loss(network(inputs), labels).backward()
    for weight, grad in zip(network.weights, once, strict=True):
        assert grad.abs().max() > 0
        assert torch.isfinite(grad).all()
        torch.testing.assert_close(weight.grad, 2 * grad)


def test_native_and_torch_gradients_agree_on_a_network(digits):
    model = Settings.reference("digits", dt_ms=2.0).model()
    grads = {}
    for kind in ("native", "torch"):
        with SpikingNetwork(
            model, precision="double", backend=kind, workers=1
        ) as network:
            layers = network(bsnn.encode_ttfs(digits.train_images[:10], model))
            SpikeCountLoss()(layers, digits.train_labels[:10]).backward()
            grads[kind] = [weight.grad for weight in network.weights]
    for one, other in zip(grads["native"], grads["torch"], strict=True):
        # Sums of about 1e3 terms in different order.
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


def test_a_network_with_nan_weights_stops(network, batch):
    inputs, _ = batch
    before = network.weights[1].data.clone()
    network.weights[1].data[0, 0] = float("nan")
    with pytest.raises(ValueError, match="'weights' of layer 2 must be finite"):
        network(inputs)
    network.weights[1].data = before


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"precision": "half"}, "'precision' must be one of single, double"),
        ({"backend": "surrogate"}, "'backend' must be one of native, torch"),
        ({"slope_min": 0}, "'slope_min' must be positive"),
        ({"slope_min": [1, float("inf")]}, "'slope_min' must be finite"),
        ({"slope_min": [1, 1, 1]}, "'slope_min' must have one value for each of the 2"),
        ({"low": [-1, -1, -1]}, "'low' must have one value for each of the 2 layers"),
        ({"high": float("nan")}, "'high' must be finite, got nan"),
        ({"low": 2.0}, "'low' must not exceed 'high', got 2.0 and"),
    ],
)
def test_impossible_options_are_refused(option, words):
    with pytest.raises(ValueError, match=words):
        SpikingNetwork(Settings.reference("digits").model(), **option)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("initial_mean", (0.5,)),
        ("initial_mean", (0, float("inf"))),
        ("initial_drive", float("nan")),
        ("slope_min", 0.0),
        ("relative_slope_min", float("inf")),
        ("learning_rate_factor", 0.0),
        ("learning_rate_factor", 1.5),
        ("learning_rate_floor", 0.011),
        ("learning_rate_epochs", 0),
        ("learning_rate_floor", float("nan")),
        ("tau_syn_ms", -130.0),
        ("duration_ms", 80.0),
        ("t_max_ms", 201.0),
        ("preset", "best"),
    ],
)
def test_impossible_settings_are_refused(name, value):
    named = "t_max_ms" if name == "duration_ms" else name
    with pytest.raises(ValueError, match=f"'{named}' must"):
        Settings.reference("digits", **{name: value})


def test_defaults_are_in_units_of_the_model():
    """Floors in leaks at threshold, the mean drive of an output in thresholds."""
    settings = Settings.reference("fashion-mnist", tau_mem_ms=52.0, tau_syn_ms=26.0)
    model = settings.model()
    usual = PRESETS["default"]
    # v/tau holds a neuron at threshold: with 1 + c times that it rises with c v/tau.
    slopes = [usual["relative_slope_min"] * v / 0.052 for v in (0.13, 0.45, 0.7)]
    assert slopes_min(settings, model) == pytest.approx(slopes, rel=1e-12)
    # v after a spike of unit weight, by the matrix exponential, is largest at 36 ms.
    times = np.linspace(0.03, 0.045, 301)
    peak = max(oracles.propagate(t, 0.0, 1.0, 0.052, 0.026)[0] for t in times)
    *hidden, last = initial_means(settings, model)
    assert hidden == [0, 0]
    assert 400 * last * peak == pytest.approx(usual["initial_drive"] * 0.7, rel=1e-5)


def test_a_network_in_python_has_the_defaults_of_the_command_line():
    settings = Settings.reference("digits", dt_ms=2.0, seed=3, workers=1)
    model = settings.model()
    with make_network(settings, model) as one:
        with SpikingNetwork(model, seed=3, workers=1) as other:
            assert one.slope_min == other.slope_min
            for weight, same in zip(one.weights, other.weights, strict=True):
                assert torch.equal(weight, same)


def test_published_settings_are_those_of_the_studies():
    settings = Settings.reference("digits", preset="published", seed=3, workers=1)
    assert settings.config()["preset"] == "published"
    rng = np.random.default_rng(3)
    with make_network(settings, settings.model()) as network:
        assert network.slope_min == (0.1, 0.1)
        for weight in network.weights:
            drawn = rng.uniform(-1, 1, tuple(weight.shape)).astype(np.float32)
            np.testing.assert_array_equal(weight.detach(), drawn)


def test_a_value_in_hz_takes_the_place_of_that_of_the_preset():
    for given, other in (
        ({"slope_min": 5.0}, "relative_slope_min"),
        ({"initial_mean": (0.0, 0.1)}, "initial_drive"),
        ({"preset": "published", "relative_slope_min": 2.0}, "slope_min"),
        ({"preset": "published", "initial_drive": 2.0}, "initial_mean"),
    ):
        settings = Settings.reference("digits", **given)
        assert getattr(settings, other) is None
    model = Settings.reference("digits").model()
    settings = Settings.reference("digits", slope_min=5.0, initial_mean=(0.0, 0.1))
    assert slopes_min(settings, model) == [5.0, 5.0]
    assert initial_means(settings, model) == [0.0, 0.1]
    with pytest.raises(ValueError, match="one of 'slope_min' and 'relative_slope_min'"):
        replace(Settings.reference("digits"), slope_min=5.0)
    with pytest.raises(ValueError, match="one of 'initial_mean' and 'initial_drive'"):
        Settings.reference("digits", initial_mean=(0.0, 0.1), initial_drive=1.0)


def test_each_layer_has_a_slope_of_its_own(network, batch):
    inputs, labels = batch
    given, grads, n_clamped = network.slope_min, {}, {}
    for slopes in ((60.0, 30.0), (60.0, 60.0), (30.0, 30.0)):
        network.slope_min, before = slopes, network.n_clamped
        network.zero_grad()
        layers = network(inputs)
        SpikeCountLoss()(layers, labels).backward()
        grads[slopes] = [weight.grad.clone() for weight in network.weights]
        n_clamped[slopes] = network.n_clamped - before
    network.slope_min = given
    assert torch.equal(grads[60.0, 30.0][1], grads[30.0, 30.0][1])
    for same in (30.0, 60.0):
        assert not torch.equal(grads[60.0, 30.0][0], grads[same, same][0])
    neurons = network.model.neurons
    found = [
        crossings(layer.record, neuron).slope
        for layer, neuron in zip(layers, neurons, strict=True)
    ]
    below = [int((s < m).sum()) for s, m in zip(found, (60.0, 30.0), strict=True)]
    assert n_clamped[60.0, 30.0] == sum(below)
    assert min(below) > 0


def settings_of(*options):
    return _settings_of(make_parser().parse_args(["train", "digits", *options]))


def test_options_are_settings():
    given = {
        "tau_mem_ms": 40.0,
        "tau_syn_ms": 20.0,
        "duration_ms": 150.0,
        "t_max_ms": 50.0,
        "learning_rate_factor": 0.5,
        "learning_rate_epochs": 3,
        "learning_rate_floor": 1e-5,
        "relative_slope_min": 2.0,
        "initial_drive": 1.5,
        "preset": "published",
    }
    options = []
    for name, value in given.items():
        options += [f"--{name.replace('_', '-')}", str(value)]
    settings = settings_of(*options, "--dt-ms", "2")
    assert {name: getattr(settings, name) for name in given} == given
    assert settings.model().neurons[0].parameters["tau_mem"] == pytest.approx(0.04)
    assert settings.model().n_steps == 75


def test_the_latest_input_spike_is_a_setting(digits, tmp_path, monkeypatch):
    latest, simulate = [], SpikingNetwork._run

    def watched(network, weights, inputs):
        latest.append(inputs.step.max())
        return simulate(network, weights, inputs)

    monkeypatch.setattr(SpikingNetwork, "_run", watched)
    settings = Settings.reference("digits", dt_ms=2.0, epochs=1, t_max_ms=50.0)
    folder, few = runs.RunFolder(tmp_path / "run"), digits.head(60, 60)
    train(replace(settings, workers=1), few, folder, measurement=Measurement)
    n_trained = len(latest)
    evaluate_run(folder, load=lambda name: few, measurement=Measurement)
    # The darkest grey there is, 16 of 255, comes at 50 (1 - 16/255) = 46.9 ms.
    assert set(latest) == {23}
    # Three batches, validation, the test and the samples that are kept; the test.
    assert (n_trained, len(latest)) == (6, 7)


def test_each_layer_starts_with_weights_about_its_mean():
    plain = Settings.reference("digits", dt_ms=2.0, workers=1, preset="published")
    shifted = replace(plain, initial_mean=(0.0, 0.4), initial_drive=None)
    weights = []
    for settings in (plain, shifted):
        with make_network(settings, settings.model()) as network:
            weights.append([weight.detach().clone() for weight in network.weights])
    assert torch.equal(weights[1][0], weights[0][0])
    torch.testing.assert_close(weights[1][1], weights[0][1] + 0.4)


def test_an_output_that_starts_silent_learns_nothing_until_its_mean_is_raised(
    network, batch
):
    """A spike that does not exist has no time: no gradient can ask for it."""
    inputs, labels = batch
    before = network.weights[1].data
    for shift, silent in ((-1.0, True), (0.5, False)):
        network.weights[1].data = before + shift
        network.zero_grad()
        layers = network(inputs)
        SpikeCountLoss()(layers, labels).backward()
        assert (layers[-1].counts().sum(0) == 0).tolist() == [silent] * 10
        assert (network.weights[1].grad == 0).all(0).tolist() == [silent] * 10
    network.weights[1].data = before


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished tiny run, made by the command."""
    out = tmp_path_factory.mktemp("runs") / "unbroken"
    assert main(["train", *TINY, "--workers", "2", "--out", str(out)]) == 0
    return runs.RunFolder(out)


def test_saturation_agrees_with_the_summary(finished, tmp_path):
    """Confidence at the end is the label's spikes in parts of the target."""
    script = Path(__file__).parents[3] / "examples" / "saturation.py"
    out = tmp_path / "saturation.csv"
    subprocess.run([sys.executable, script, finished.path, "--out", out], check=True)
    (row,) = runs.pd.read_csv(out).to_dict("records")
    end, target = finished.confidence().confidence.iloc[-1], finished.config()["true"]
    assert row["label_spikes"] == pytest.approx(end * target, rel=1e-3)
    hidden = finished.summary()["last"]["hidden_spikes"]
    assert row["hidden_spikes"] == pytest.approx(hidden, rel=1e-3)
    assert row["short_and_firing_in_every_bin_left"] <= row["short_of_target"] <= 1
    for name in ("spikes", "share_of_1_over_slope"):
        assert 0 <= row[f"{name}_below_0.1_hz"] <= row[f"{name}_below_5_hz"] <= 1


def test_silent_outputs_are_counted_before_and_after_training(finished, tmp_path):
    """Outputs that only inhibition reaches are silent; those of the run are not."""
    inhibited = tmp_path / "inhibited"
    shutil.copytree(finished.path, inhibited)
    config = finished.config()
    config |= {"initial_mean": [0.0, -1.0], "initial_drive": None}
    (inhibited / runs.CONFIG).write_text(json.dumps(config))
    script = Path(__file__).parents[3] / "examples" / "silent_outputs.py"
    out = tmp_path / "silent.csv"
    command = [sys.executable, script, finished.path, inhibited, "--out", out]
    subprocess.run(command, check=True)
    table = runs.pd.read_csv(out)
    assert table.silent_before.tolist() == [0, 10]
    assert table.silent_after.tolist() == [finished.summary()["dead_labels"]] * 2


def test_closed_standard_streams_do_no_harm(finished, tmp_path):
    """As of a daemon; their numbers would go to sockets and files of the training."""
    command = f"exec '{sys.executable}' -m bsnn train \"$@\" <&- >&- 2>&-"
    arguments = [*TINY, "--workers", "2", "--out", str(tmp_path / "run")]
    subprocess.run(["sh", "-c", command, "sh", *arguments], check=True)
    run = runs.RunFolder(tmp_path / "run")
    assert run.summary()["last"] == finished.summary()["last"]


def test_a_run_folder_explains_itself(finished):
    names = {path.name for path in finished.path.iterdir()} - {runs.LOCK}
    assert names == {
        "config.json",
        "metrics.csv",
        "summary.json",
        "confidence.csv",
        "checkpoint.pt",
        "checkpoint.previous.pt",
        "spikes.npz",
    }
    config, summary = finished.config(), finished.summary()
    assert (config["dataset"], config["dt_ms"], config["seed"]) == ("digits", 2, 0)
    assert bsnn.Model.from_dict(config["model"]).n_steps == 100
    assert summary["versions"]["brian2"]
    assert summary["backend"] == {
        "gradient": "native",
        "device": "cpp",
        "precision": "single",
        "projection": "dense",
    }
    table = finished.metrics()
    assert list(table.columns) == list(runs.METRICS_COLUMNS)
    assert table.split.tolist() == ["train", "validation"] * 2 + ["test"]
    validated = table[table.split == "validation"].reset_index()
    chosen = 1 + validated.accuracy.idxmax()
    assert table.epoch.tolist() == [1, 1, 2, 2, chosen]
    assert summary["validation"]["accuracy"] == validated.accuracy.max()
    assert summary["best"] == summary["last"]
    assert summary["last"]["accuracy"] == table.accuracy.iloc[-1] > 0.15
    assert summary["last"]["epoch"] == summary["validation"]["epoch"] == chosen
    layers, labels = finished.spikes()
    assert [layer.n_neurons for layer in layers] == [64, 128, 10]
    assert len(labels) == layers[0].n_samples
    assert layers[1].n_spikes > 0
    curve = finished.confidence()
    assert curve.epoch.unique().tolist() == [chosen]
    assert (curve.confidence.diff().dropna() >= 0).all()


def test_one_worker_and_two_train_the_same(finished, tmp_path):
    out = tmp_path / "one"
    assert main(["train", *TINY, "--workers", "1", "--out", str(out)]) == 0
    one, two = load_checkpoint(runs.RunFolder(out)), load_checkpoint(finished)
    for a, b in zip(one["weights"], two["weights"], strict=True):
        assert torch.equal(a, b)
    left, right = runs.RunFolder(out).metrics(), finished.metrics()
    assert left.drop(columns="seconds").equals(right.drop(columns="seconds"))


def test_a_killed_training_resumes_to_the_same_end(finished, tmp_path):
    out = tmp_path / "broken"
    command = [sys.executable, "-m", "bsnn", "train", *TINY, "--out", str(out)]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    for line in process.stderr:
        if line.startswith("epoch 1/2"):
            process.send_signal(signal.SIGKILL)
            break
    process.wait()
    process.stderr.close()
    assert not (out / runs.SUMMARY).exists()
    assert main(["train", *TINY, "--out", str(out), "--resume"]) == 0
    resumed, unbroken = load_checkpoint(runs.RunFolder(out)), load_checkpoint(finished)
    for a, b in zip(resumed["weights"], unbroken["weights"], strict=True):
        assert torch.equal(a, b)
    columns = [c for c in runs.METRICS_COLUMNS if c != "seconds"]
    left, right = runs.RunFolder(out).metrics(), finished.metrics()
    assert left[columns].equals(right[columns])


def test_more_epochs_end_as_if_asked_for_at_once(finished, tmp_path, capsys):
    out, fewer = tmp_path / "run", [*TINY, "--epochs", "1"]
    assert main(["train", *fewer, "--out", str(out)]) == 0
    assert main(["evaluate", str(out), "--dt-ms", "4"]) == 0  # of weights that will go
    folder = runs.RunFolder(out)
    assert (folder.config()["epochs"], folder.summary()["epochs"]) == (1, 1)
    assert main(["train", *TINY, "--out", str(out), "--resume"]) == 0
    assert folder.config() == finished.config() | {"workers": None}
    assert not (out / runs.EVALUATIONS).exists()
    one, other = folder.summary(), finished.summary()
    assert one | {"seconds_per_epoch": 0} == other | {"seconds_per_epoch": 0}
    one, other = load_checkpoint(folder), load_checkpoint(finished)
    for a, b in zip(one["weights"], other["weights"], strict=True):
        assert torch.equal(a, b)
    left, right = folder.metrics(), finished.metrics()
    assert left.drop(columns="seconds").equals(right.drop(columns="seconds"))
    assert folder.confidence().equals(finished.confidence())

    before = {path: path.read_bytes() for path in out.iterdir()}
    capsys.readouterr()
    assert main(["train", *fewer, "--out", str(out), "--resume"]) == 1
    assert "another configuration (epochs 2, not 1)" in capsys.readouterr().err
    more = [*TINY, "--epochs", "3", "--learning-rate", "0.1"]
    assert main(["train", *more, "--out", str(out), "--resume"]) == 1
    said = capsys.readouterr().err
    assert "another configuration (learning_rate 0.01, not 0.1)" in said
    (out / runs.CHECKPOINT).write_bytes(b"garbage")
    (out / runs.PREVIOUS).write_bytes(b"garbage")
    more = [*TINY, "--epochs", "3"]
    assert main(["train", *more, "--out", str(out), "--resume"]) == 1
    assert "is damaged" in capsys.readouterr().err
    for name in (runs.CONFIG, runs.SUMMARY, runs.METRICS):
        assert (out / name).read_bytes() == before[out / name]


def test_a_run_from_before_validation_goes_on_without(tmp_path):
    config = Settings.reference("digits", preset="published").config()
    new = [
        *("validation", "validation_seed", "patience", "learning_rate_patience"),
        *("estimator", "slope_cap", "surrogate_width", "surrogate_height"),
        *("latency_weight", "latency_tau_ms"),
    ]
    folder = runs.RunFolder(tmp_path / "run")
    folder.create({name: v for name, v in config.items() if name not in new})
    folder.check_free(config, resume=True)
    validated = Settings.reference("digits", preset="published", validation=0.1)
    with pytest.raises(RunFolderError, match="validation 0.0, not 0.1"):
        folder.check_free(validated.config(), resume=True)


def test_a_run_from_before_there_were_presets_means_what_it_meant(tmp_path):
    published = Settings.reference("digits", preset="published").config()
    old = {name: v for name, v in published.items() if name not in NEW_SETTINGS}
    folder = runs.RunFolder(tmp_path)
    for given, expected in (
        ({}, {}),
        ({"slope_min": 5.0}, {"slope_min": 5.0}),
        ({"initial_mean": [0, 0.1]}, {"initial_mean": (0, 0.1), "initial_drive": None}),
    ):
        folder.write_json(runs.CONFIG, {**old, "slope_min": 0.1, **given})
        settings = Settings.from_config(folder.config())
        assert settings == replace(Settings.from_config(published), **expected)
        folder.check_free(settings.config(), resume=True)
    with pytest.raises(ValueError, match="a setting is missing .*'preset'"):
        Settings.from_config(old)


NEW_SETTINGS = ("preset", "initial_drive", "relative_slope_min", "t_max_ms")


def test_evaluate_tests_at_other_time_steps(finished, capsys):
    assert main(["evaluate", str(finished.path), "--dt-ms", "1", "2"]) == 0
    table = capsys.readouterr().out.splitlines()
    assert len(table) == 3
    rows = runs.pd.read_csv(finished.path / runs.EVALUATIONS)
    assert rows.dt_ms.tolist() == [1, 2]
    own = finished.summary()["last"]["accuracy"]
    assert rows.accuracy[1] == pytest.approx(own)
    (finished.path / runs.EVALUATIONS).unlink()


@pytest.mark.parametrize("rule", ["", "Grid", "crossing"])
def test_evaluate_refuses_what_is_no_rule(finished, capsys, rule):
    assert main(["evaluate", str(finished.path), "--rule", rule]) == 1
    assert "'rule' must be one of grid, quant" in capsys.readouterr().err
    assert not (finished.path / runs.EVALUATIONS).exists()


@pytest.fixture(scope="module")
def own_data(digits, tmp_path_factory):
    """A data folder with a data set of one's own in it: the digits as IDX files."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "my-digits").mkdir()
    for part, split in (("train", "train"), ("t10k", "test")):
        for kind, name in (("images-idx3", "images"), ("labels-idx1", "labels")):
            array = getattr(digits, f"{split}_{name}")
            header = struct.pack(
                f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape
            )
            content = header + array.astype(np.uint8).tobytes()
            (folder / "my-digits" / f"{part}-{kind}-ubyte").write_bytes(content)
    return folder


OWN = "my-digits --layers 64 128 10 --v-threshold 0.1 0.2 --batch-size 20".split()


def test_a_data_set_of_ones_own_is_trained_and_tested(
    finished, own_data, tmp_path, capsys
):
    folder = ["--data-dir", str(own_data)]
    out = tmp_path / "own"
    more = [*TINY[1:], "--learning-rate", "0.01", *folder, "--out", str(out)]
    assert main(["train", *OWN, *more]) == 0
    run = runs.RunFolder(out)
    # The digits under another name.
    assert run.summary()["last"] == finished.summary()["last"]
    assert main(["evaluate", str(out), "--dt-ms", "2", *folder]) == 0
    rows = runs.pd.read_csv(out / runs.EVALUATIONS)
    assert rows.accuracy[0] == pytest.approx(run.summary()["last"]["accuracy"])
    assert main(["evaluate", str(out), "--data-dir", str(tmp_path)]) == 1
    assert f"or of a folder in {tmp_path}, got 'my-digits'" in capsys.readouterr().err


def test_a_data_set_of_ones_own_needs_its_settings(own_data, capsys):
    assert main(["train", *OWN, "--data-dir", str(own_data)]) == 1
    words = "for another give learning_rate, too, or a network of your own (--model)."
    assert words in capsys.readouterr().err


def test_a_run_is_not_tested_on_data_of_another_size(finished, own_data):
    dataset = bsnn.load_dataset("my-digits", data_dir=own_data)
    narrow = replace(
        dataset,
        train_images=dataset.train_images[:, :3],
        test_images=dataset.test_images[:, :3],
    )
    many = replace(dataset, n_classes=11)
    for other, what in (
        (narrow, "begin with the .* inputs"),
        (many, "end with the 11"),
    ):
        with pytest.raises(ValueError, match=f"'layers' must {what}"):
            evaluate_run(
                finished, load=lambda name, o=other: o, measurement=Measurement
            )


@pytest.mark.parametrize(
    ("changes", "dt_ms", "rule", "expected"),
    [
        ({"detect": "crossing"}, 4.0, "grid", ("grid", "crossing", None)),
        ({"detect": "crossing"}, 0, "grid", ("continuous", "end", None)),
        (
            {"rule": "quantised-event", "max_spikes": (5, 6)},
            4.0,
            "quantised-event",
            ("quantised-event", "end", (5, 6)),
        ),
        (
            {"rule": "quantised-event", "max_spikes": (5, 6)},
            4.0,
            "grid",
            ("grid", "end", None),
        ),
    ],
)
def test_settings_at_another_time_step_keep_what_belongs(
    changes, dt_ms, rule, expected
):
    settings = Settings.reference("digits", **changes).at(dt_ms, rule)
    assert (settings.rule, settings.detect, settings.max_spikes) == expected
    assert settings.model().dt_seconds == dt_ms * 1e-3


def test_a_rule_that_does_not_fit_the_time_step_is_not_changed(finished, capsys):
    arguments = ["--dt-ms", "2", "--rule", "continuous"]
    assert main(["evaluate", str(finished.path), *arguments]) == 1
    assert "'dt' must be 0 under the rule 'continuous'" in capsys.readouterr().err


def test_the_weights_are_those_of_the_measured_epoch(finished, digits):
    """The accuracy in the summary is that of the checkpoint, measured here anew."""
    model = bsnn.Model.from_dict(finished.config()["model"])
    test = digits.head(200, 100)
    with SpikingNetwork(model, workers=1) as network:
        saved = load_checkpoint(finished)["weights"]
        for weight, value in zip(network.weights, saved, strict=True):
            weight.data = value
        measured = Measurement(model, 15)
        inputs = bsnn.encode_ttfs(test.test_images, model)
        records = network.simulate(inputs)
        measured.add(records, test.test_labels)
    accuracy = np.mean(records[-1].counts().argmax(1) == test.test_labels)
    assert measured.summary()["accuracy"] == pytest.approx(accuracy, abs=0.05)
    assert finished.summary()["last"]["accuracy"] == measured.summary()["accuracy"]


def run_command(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "bsnn", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


def assert_one_message(run, words):
    assert run.returncode != 0
    assert "Traceback" not in run.stderr
    assert words in run.stderr
    assert run.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nist"], "'dataset' must be one of mnist"),
        (["digits", "--dt-ms", "-1"], "'dt' must not be negative"),
        (["digits", "--dt-ms", "nan"], "'dt_ms' must be finite"),
        (["digits", "--dt-ms", "500"], "'dt' must not be longer than 'duration'"),
        (["digits", "--rule", "euler"], "'rule' must be one of grid"),
        (["digits", "--layers", "63", "10"], "'layers' must begin with the 64 inputs"),
        (["digits", "--layers", "64", "9"], "end with the 10 classes"),
        (["digits", "--seed", "-1"], "'seed' must not be negative"),
        (["digits", "--epochs", "0"], "'epochs' must be 1 or more"),
        (["digits", "--learning-rate", "0"], "'learning_rate' must be positive"),
        (["digits", "--device", "cuda"], "'device' must be"),
        (["digits", "--n-train", "9999999"], "'n_train' must lie in"),
    ],
)
def test_bad_arguments_are_one_message(arguments, words, tmp_path, capsys):
    out = tmp_path / "run"
    if "--layers" in arguments:
        arguments = [*arguments, "--v-threshold", "0.3"]
    assert main(["train", *arguments, "--out", str(out)]) == 1
    said = capsys.readouterr()
    assert words in said.err
    assert said.out == ""
    assert not out.exists()


def test_a_missing_data_set_is_one_message(tmp_path):
    out = tmp_path / "run"
    run = run_command("train", "mnist", "--out", str(out), BSNN_DATA=str(tmp_path))
    assert_one_message(run, "mnist")
    assert not out.exists()


def test_no_compiler_is_one_message(tmp_path):
    out = tmp_path / "run"
    run = run_command(
        "train",
        *TINY,
        "--out",
        str(out),
        CXX="no-such-compiler",
        BSNN_CACHE=str(tmp_path),
    )
    assert_one_message(run, "'no-such-compiler' is needed to compile")
    assert "apt install g++ make" in run.stderr
    assert not out.exists()


def test_a_compiler_that_fails_shows_its_output(tmp_path):
    out = tmp_path / "run"
    cache = tmp_path / "cache"
    run = run_command(
        "train", *TINY, "--out", str(out), CXX="false", BSNN_CACHE=str(cache)
    )
    assert_one_message(run, "compiling the simulation program failed")
    assert not out.exists()
    assert not list((cache / "programs").glob("*/"))


def test_a_folder_with_another_run_is_refused(finished, capsys):
    before = {path: path.read_bytes() for path in finished.path.iterdir()}
    out = str(finished.path)
    assert main(["train", *TINY, "--out", out]) == 1
    assert "holds another run" in capsys.readouterr().err
    assert main(["train", *TINY, "--seed", "1", "--out", out, "--resume"]) == 1
    assert "another configuration" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in finished.path.iterdir()} == before


def test_a_folder_with_other_files_is_refused(tmp_path, capsys):
    (tmp_path / "thesis.tex").write_text("precious")
    assert main(["train", *TINY, "--out", str(tmp_path)]) == 1
    assert "holds other files" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_damaged_checkpoint_is_one_message(finished, tmp_path, capsys):
    for content in (b"", b"garbage", b"PK\x03\x04"):
        broken = tmp_path / "broken"
        broken.mkdir(exist_ok=True)
        (broken / runs.CONFIG).write_text(json.dumps(finished.config()))
        (broken / runs.CHECKPOINT).write_bytes(content)
        with pytest.raises(RunFolderError, match="is damaged"):
            load_checkpoint(runs.RunFolder(broken))
        assert main(["evaluate", str(broken)]) == 1
        assert "is damaged" in capsys.readouterr().err
    assert main(["evaluate", str(tmp_path / "nothing")]) == 1
    assert "holds no config.json" in capsys.readouterr().err


def test_settings_survive_json_and_refuse_unknown_names():
    settings = Settings.reference("fashion-mnist", dt_ms=8.0, seed=4)
    assert Settings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings
    config = json.loads(json.dumps(settings.config()))
    assert Settings.from_config(config, seed=5) == replace(settings, seed=5)
    with pytest.raises(ValueError, match="unknown setting 'momentum'"):
        Settings.from_dict({**settings.to_dict(), "momentum": 0.9})


def test_the_learning_rate_falls_to_its_floor():
    settings = Settings.reference("emnist")
    rates = [settings.learning_rate_at(epoch) for epoch in (1, 10, 11, 21, 101)]
    assert rates == pytest.approx([0.003, 0.003, 0.0015, 0.00075, 1e-4])


def test_the_readme_example_runs(capsys):
    readme = Path(__file__).parents[3] / "README.md"
    example = readme.read_text().split("```python\n")[1].split("```")[0]
    exec(compile(example, str(readme), "exec"), {})
    printed = capsys.readouterr().out
    # One pass over 1400 digits; guessing gives 10 %.
    assert float(printed.split(" %")[0]) > 70
