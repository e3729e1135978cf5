"""A network of one's own in every command: train, go on, evaluate, sweep, plot."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from brian2 import ms

import bsnn
from bsnn import runs
from bsnn.analysis import Measurement, read_sweep
from bsnn.cli.main import main
from bsnn.errors import BsnnError, ModelFileError, NumbersError
from bsnn.model_file import ModelFile
from bsnn.network import Network
from bsnn.network_settings import NetworkSettings, settings_of
from bsnn.readout import Readout
from bsnn.runs import RunFolder
from bsnn.settings import Settings
from bsnn.training.experiments.checkpoint import load_checkpoint
from bsnn.training.experiments.evaluation import evaluate_run
from bsnn.training.experiments.loop import train
from bsnn.training.from_settings import make_loss, make_network

pytestmark = pytest.mark.cpp

# Few enough neurons to be quick: cells that fire, integrators that are read out.
TEXT = """
from brian2 import ms
import bsnn

cell = bsnn.Neuron(
    "dv/dt = (i_syn - v)/tau : 1\\ndi_syn/dt = -i_syn/(10*ms) : 1",
    threshold="v > 1",
    reset="v = 0",
    parameters={"tau": 20*ms},
    method="euler",
)
integrator = bsnn.Neuron("dv/dt = -v/(50*ms) : 1", method="euler")

def network(dt):
    return bsnn.Network(
        [
            bsnn.Inputs("pixels", 64),
            bsnn.Population("cells", 12, cell),
            bsnn.Population("sums", 10, integrator, record=["v"]),
        ],
        [
            bsnn.Connection("pixels", "cells", on_pre="i_syn += w"),
            bsnn.Connection("cells", "sums", on_pre="v += w"),
        ],
        dt=dt,
        duration=60*ms,
    )

weights = {"pixels->cells": (-0.5, 1.5), "cells->sums": (-0.3, 0.3)}
learn = {"cells": ["tau"], "pixels->cells": []}
readout = bsnn.Readout("mean")
"""
FILE = ModelFile("summing", TEXT)


def settings(text=TEXT, **changes):
    values = {"dataset": "digits", "dt_ms": 2.0, "epochs": 2, "t_max_ms": 40.0}
    values |= {"batch_size": 20, "learning_rate": 0.02, "workers": 1}
    return NetworkSettings(**values | changes, model_file=ModelFile("summing", text))


@pytest.fixture(scope="module")
def digits():
    return bsnn.load_dataset("digits").head(200, 60)


def load(digits):
    return lambda name: digits


@pytest.fixture(scope="module")
def run(digits, tmp_path_factory):
    """Return the folder of a finished training."""
    folder = RunFolder(tmp_path_factory.mktemp("own") / "run")
    train(settings(), digits, folder, measurement=Measurement)
    return folder


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "summing.py"
    path.write_text(TEXT)
    return path


def test_a_run_keeps_texts_network_and_results(run):
    config = run.config()
    assert config["model_file"] == {"name": "summing", "text": TEXT}
    network = Network.from_dict(config["network"])
    assert [part.name for part in network.groups] == ["cells", "sums"]
    assert Readout(**config["readout"]) == Readout("mean", "sums", "v")
    summary = run.summary()
    assert summary["last"]["output_spikes"] == 0 < summary["last"]["hidden_spikes"]
    assert 0 < summary["decision_ms"] <= 60
    losses = run.metrics().query("split == 'train'").loss
    assert losses.iloc[-1] < losses.iloc[0]
    layers, labels = run.spikes()
    assert [layer.n_neurons for layer in layers] == [64, 12] and len(labels) == 20


def test_what_is_not_learned_stays_and_what_is_moves(run, digits):
    state = load_checkpoint(run)
    given = settings()
    with make_network(given, given.model()) as network:
        first = {name: w.detach().clone() for name, w in network.named_weights()}
    trained = dict(zip(first, state["weights"], strict=True))
    assert torch.equal(trained["pixels->cells"], first["pixels->cells"])
    assert state["frozen"] == [0]
    assert not torch.equal(trained["cells->sums"], first["cells->sums"])
    assert trained["tau of cells"] != first["tau of cells"] == 1


def test_a_training_that_is_interrupted_goes_on_as_if_it_had_not(run, digits, tmp_path):
    class Stop(Exception):
        pass

    def stop(epoch):
        raise Stop

    folder = RunFolder(tmp_path / "run")
    with pytest.raises(Stop):
        train(settings(), digits, folder, measurement=Measurement, callbacks=stop)
    train(settings(), digits, folder, measurement=Measurement, resume=True)
    for one, other in zip(
        load_checkpoint(folder)["weights"], load_checkpoint(run)["weights"], strict=True
    ):
        assert torch.equal(one, other)
    columns = ["accuracy", "loss", "hidden_spikes"]
    assert folder.metrics()[columns].equals(run.metrics()[columns])


def test_a_callback_sees_each_epoch_and_ends_the_training(run, digits, tmp_path):
    seen = []

    def watch(end):
        moved = end.network.connections["cells->sums"].weight.detach().clone()
        seen.append((end.epoch, [row["split"] for row in end.rows], moved))
        return end.epoch == 2

    folder = RunFolder(tmp_path / "run")
    options = {"measurement": Measurement, "callbacks": [watch, lambda end: 1]}
    summary = train(settings(epochs=4), digits, folder, **options)
    assert [epoch for epoch, *_ in seen] == [1, 2]
    assert seen[1][1] == ["train", "validation"] * 2
    assert not torch.equal(seen[0][2], seen[1][2])
    # As a training of two epochs, but for what the settings say.
    assert summary["last"] == run.summary()["last"]
    # What has ended is not begun again, unless nothing ends it.
    train(settings(epochs=4), digits, folder, resume=True, **options)
    assert [epoch for epoch, *_ in seen] == [1, 2, 2]
    assert torch.equal(seen[2][2], seen[1][2])
    assert load_checkpoint(folder)["epoch"] == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("after_epoch = 3", "'after_epoch' of summing.py must be a function of an"),
        (
            "def after_epoch(end):\n    1 / 0",
            r"summing.py, line \d+: after_epoch of epoch 1 failed: ZeroDivisionError",
        ),
    ],
)
def test_a_callback_of_the_file_that_fails_is_told(text, message, digits, tmp_path):
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(ModelFileError, match=message):
        train(settings(TEXT + text), digits, folder, measurement=Measurement)


@pytest.mark.parametrize("wrong", [3, [3], [print, None], "after"])
def test_what_cannot_be_called_back_is_refused_at_once(wrong, digits, tmp_path):
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(TypeError, match="'callbacks' must be functions of an EpochEnd"):
        train(settings(), digits, folder, measurement=Measurement, callbacks=wrong)
    assert not folder.path.exists()


def test_the_file_ends_its_training(digits, tmp_path):
    text = TEXT + "def after_epoch(end):\n    return end.rows[-1]['epoch'] == 1\n"
    folder = RunFolder(tmp_path / "run")
    train(settings(text), digits, folder, measurement=Measurement)
    assert folder.metrics().epoch.max() == 1 and folder.finished


def test_a_run_is_evaluated_at_other_time_steps_with_its_own_file(
    run, digits, tmp_path
):
    folder = RunFolder(shutil.copytree(run.path, tmp_path / "run"))
    options = {"load": load(digits), "measurement": Measurement}
    rows = evaluate_run(folder, dt_ms=[2, 4], model_file=FILE, **options)
    assert rows[0]["accuracy"] == run.summary()["last"]["accuracy"]
    assert rows[1]["dt_ms"] == 4 and rows[1]["hidden_spikes"] > 0
    other = ModelFile("summing", TEXT + "# another\n")
    with pytest.raises(ValueError, match="the file that the run was trained with"):
        evaluate_run(folder, model_file=other, **options)
    with pytest.raises(ValueError, match="'model' must be given: the run's network"):
        evaluate_run(folder, **options)
    with pytest.raises(ValueError, match="'rule' must be 'grid' for a network of"):
        evaluate_run(folder, rule="quantised-event", model_file=FILE, **options)
    with pytest.raises(ValueError, match="'model' must be left out: the run is one of"):
        settings_of(Settings.reference("digits").config(), FILE)


def test_no_text_of_a_run_folder_is_executed(run, tmp_path):
    """Tables and figures read the network as data."""
    folder = RunFolder(shutil.copytree(run.path, tmp_path / "run"))
    mark = tmp_path / "executed"
    text = f"open({str(mark)!r}, 'w')\n"
    config = folder.config()
    config["model_file"]["text"] = text
    folder.write_json(runs.CONFIG, config)
    assert main(["plot", str(folder.path)]) == 0
    assert main(["report", str(folder.path)]) == 0
    assert main(["evaluate", str(folder.path)]) == 1
    assert not mark.exists()


def test_a_sweep_trains_cells_that_differ_in_the_network(path, tmp_path, capsys):
    out = tmp_path / "sweep"
    command = f"sweep digits --model {path} --dt-ms 2 4 --t-max-ms 40 --epochs 1"
    command += f" --n-train 60 --n-test 40 --out {out}"
    assert main(command.split()) == 0
    assert "summing" in capsys.readouterr().out
    sweep = read_sweep(out)
    assert list(sweep.runs.run) == [f"digits_summing_dt{dt}_seed0" for dt in (2, 4)]
    described = sweep.described(sweep.runs.run[0])
    assert described == (60, ["pixels", "cells"], False)
    assert main(["report", str(out), "--out", str(tmp_path / "report.html")]) == 0
    assert "--model summing.py" in (tmp_path / "report.html").read_text()
    # Runs of another network would be taken for these.
    path.write_text(TEXT + "\n# edited\n")
    assert main(command.split()) == 1
    assert "another configuration (model_file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("def network(dt):", "line 1: it cannot be executed: IndentationError"),
        ("import no_such_thing", "imports what is installed, no file beside it"),
        ("x = 1\nx.y", "line 2: it cannot be executed: AttributeError"),
        ("", r"must define a function network\(dt\)"),
        ("network = 3", r"must define a function network\(dt\)"),
        ("def network(dt):\n  return 3", "must return a bsnn.Network, got int"),
        ("def network(dt):\n  return 1/0", r"line 2: network\(2\*ms\) failed: ZeroDiv"),
        (TEXT.replace("dt=dt", "dt=1*ms"), r"network of 1. ms; write Network\(..., dt"),
        (
            TEXT.replace('"sums", 10', '"sums", 0'),
            "line 19: .*'size' must be at least 1, got 0",
        ),
    ],
)
def test_what_is_wrong_with_a_model_file_is_named(text, what):
    with pytest.raises(ModelFileError, match=what):
        settings(text).config()


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("weights = ", "weight = ", "must define 'weights', by connection: 'pixels->"),
        ("(-0.3, 0.3)}", "(-0.3, 0.3), 'x': 1}", "cannot be trained: .*'x' is unknown"),
        ('"tau"]', '"tua"]', "cannot be trained: .*'tua'"),
    ],
)
def test_what_cannot_be_trained_is_named(old, new, what):
    assert old in TEXT
    given = settings(TEXT.replace(old, new))
    with pytest.raises(ModelFileError, match=what):
        make_network(given, given.model())


@pytest.mark.parametrize(
    ("readout", "what"),
    [
        ("'max'", "'readout' of summing.py must be a bsnn.Readout, got 'max'"),
        ("bsnn.Readout('max', 'all')", "names the population 'all'; the network has"),
        ("bsnn.Readout('most-spikes')", "'sums' has no threshold and never fires"),
        ("bsnn.Readout('max', 'cells', 'v')", r"Population\('cells', ..., record="),
    ],
)
def test_a_readout_that_does_not_fit_is_named(readout, what):
    text = TEXT.replace('bsnn.Readout("mean")', readout)
    with pytest.raises((ModelFileError, ValueError), match=what):
        settings(text).config()


def test_defaults_follow_from_the_network():
    without = TEXT.replace('readout = bsnn.Readout("mean")', "")
    given = settings(without)
    assert given.readout(given.model()) == Readout("max", "sums", "v")
    firing = settings(
        without.replace(
            'bsnn.Population("sums", 10, integrator, ',
            ('bsnn.Population("sums", 10, cell, '),
        ).replace('on_pre="v += w"', 'on_pre="i_syn += w"')
    )
    assert firing.readout(firing.model()) == Readout("most-spikes", "sums")
    first = replace(
        firing,
        model_file=ModelFile(
            "summing",
            (firing.model_file.text + '\nreadout = bsnn.Readout("first-spike")'),
        ),
    )
    readout = first.readout(first.model())
    with pytest.raises(ModelFileError, match=r"must define loss\(activity, labels\)"):
        make_loss(first, readout)


def test_a_loss_of_ones_own_gets_all_populations_by_name(digits):
    """It equals the loss that the readout has by default."""
    own = TEXT + (
        "from bsnn.training import ReadoutLoss\n"
        "def loss(activity, labels):\n"
        '    return ReadoutLoss("mean")(activity["sums"].trace["v"], labels)\n'
    )
    values = []
    for given in (settings(), settings(own)):
        model = given.model()
        with make_network(given, model) as network, torch.no_grad():
            inputs = given.encode(digits.test_images[:5], network.model)
            loss = make_loss(given, given.readout(model))
            values.append(loss(network(inputs), digits.test_labels[:5]).item())
    assert values[0] == values[1] > 0
    broken = settings(TEXT + "def loss(activity, labels):\n    return 3\n")
    model = broken.model()
    with make_network(broken, model) as network, torch.no_grad():
        layers = network(broken.encode(digits.test_images[:1], network.model))
        with pytest.raises(ModelFileError, match="must return a tensor with one num"):
            make_loss(broken, broken.readout(model))(layers, [0])


def test_a_loss_that_is_not_finite_is_named(digits, tmp_path):
    text = TEXT + (
        "def loss(activity, labels):\n"
        '    return activity["sums"].trace["v"].sum() * float("nan")\n'
    )
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(
        NumbersError, match="epoch 1, batch 1: loss.* of summing.py is nan"
    ):
        train(settings(text), digits, folder, measurement=Measurement)


DRIVEN = """
from brian2 import ms
import bsnn
from bsnn.inputs import codes

cell = bsnn.Neuron(
    "dv/dt = (I_stim(t, i) - v)/(20*ms) : 1",
    threshold="v > 1",
    reset="v = 0",
    currents={"I_stim": 1},
    method="euler",
)
out = bsnn.Neuron("dv/dt = -v/(50*ms) : 1", threshold="v > 1", reset="v = 0")

def network(dt):
    return bsnn.Network(
        [bsnn.Population("cells", 64, cell), bsnn.Population("digit", 10, out)],
        [bsnn.Connection("cells", "digit", on_pre="v += w")],
        dt=dt,
        duration=60*ms,
    )

def encode(values, network):
    currents = codes.named("currents")
    return currents(values, network, population="cells", gain=2/255)

weights = {"cells->digit": (0, 0.3)}
"""


def test_data_may_drive_neurons_directly(digits, tmp_path):
    given = settings(DRIVEN, epochs=2, batch_size=10)
    folder = RunFolder(tmp_path / "run")
    train(given, digits, folder, measurement=Measurement)
    losses = folder.metrics().query("split == 'train'").loss
    assert losses.iloc[-1] < losses.iloc[0]
    layers, _ = folder.spikes()
    assert [layer.n_neurons for layer in layers] == [64, 10]  # nothing enters as spikes
    assert read_sweep(folder.path).described("run").names == ["cells", "digit"]
    broken = DRIVEN.replace('population="cells"', 'population="cell"')
    folder = RunFolder(tmp_path / "broken")
    with pytest.raises(ModelFileError, match="line 25: encode.* failed: .*'population"):
        train(settings(broken), digits, folder, measurement=Measurement)


READING = (
    TEXT.replace('pixels", 64', 'pixels", 4')
    + """
import numpy as np

def dataset(folder):
    times = np.loadtxt(folder / "times.txt", ndmin=2)  # seconds, of four channels
    labels = np.loadtxt(folder / "labels.txt", dtype=int)
    pairs = [(row, np.arange(4)) for row in times]
    return bsnn.TimedDataset.from_events(
        pairs[:30], labels[:30], pairs[30:], labels[30:],
        n_channels=4, n_classes=10, duration=60*ms, name="x", title="My events",
    )
"""
)


def test_data_of_ones_own_are_read_by_the_file(tmp_path, rng, capsys):
    folder = tmp_path / "data" / "mine"
    folder.mkdir(parents=True)
    np.savetxt(folder / "times.txt", rng.uniform(0, 0.05, (40, 4)))
    np.savetxt(folder / "labels.txt", rng.integers(0, 3, 40), fmt="%d")
    path, out = tmp_path / "summing.py", tmp_path / "sweep"
    path.write_text(READING)
    common = f"--model {path} --data-dir {folder.parent}"
    command = f"sweep mine {common} --dt-ms 2 --epochs 1 --out {out}"
    assert main(command.split()) == 0
    run = out / "mine_summing_dt2_seed0"
    config = RunFolder(run).config()
    assert (config["dataset"], config["code"]) == ("mine", "events")
    assert main(f"evaluate {run} {common} --dt-ms 1 2".split()) == 0
    assert main(f"train gone {common} --out {tmp_path / 'run'}".split()) == 1
    said = capsys.readouterr().err
    assert "line 36: dataset(" in said and "times.txt not found" in said
    path.write_text(TEXT + "def dataset(folder):\n    return [1]\n")
    assert main(f"train mine {common} --out {tmp_path / 'run'}".split()) == 1
    assert "must return a bsnn.Dataset or bsnn.Timed" in capsys.readouterr().err


def test_a_code_is_chosen_and_kept(digits, run, tmp_path):
    assert run.config()["code"] == "first-spike"
    folder = RunFolder(tmp_path / "run")
    given = settings(code="rate", epochs=1)
    train(given, digits, folder, measurement=Measurement)
    assert folder.config()["code"] == "rate"
    layers, _ = folder.spikes()
    assert layers[0].counts().max() > 1  # not one spike a pixel
    with pytest.raises(ValueError, match="'code' must be one of first-spike, events"):
        settings(code="morse")
    with pytest.raises(
        ValueError, match="must begin with the 128 inputs of UCI digits"
    ):
        settings(code="delta").check_dataset(digits)


def test_a_price_on_spikes_makes_them_fewer(digits, tmp_path):
    spikes = {}
    for price in (0.0, 5.0):
        text = TEXT.replace(', "pixels->cells": []', "")
        given = settings(text, spike_penalty=price, epochs=3)
        folder = RunFolder(tmp_path / f"{price:g}")
        train(given, digits, folder, measurement=Measurement)
        spikes[price] = folder.summary()["last"]["hidden_spikes"]
    assert spikes[5.0] < 0.8 * spikes[0.0]


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ("--layers 64 10", "--layers must be left out with 'model'"),
        ("--dt-ms 0", "'dt_ms' must be positive for a network of one's own"),
        ("--t-max-ms 90", "'t_max_ms' must not exceed the length of a sample"),
        ("--model gone.py", "'model' must name a Python file that can be read"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, what, path, tmp_path, capsys):
    command = f"train digits --model {path} --t-max-ms 40 --out {tmp_path / 'run'}"
    assert main([*command.split(), *options.split()]) == 1
    assert what in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_data_set_that_does_not_fit_is_refused(path, tmp_path, capsys):
    command = f"train yin-yang --model {path} --t-max-ms 40 --out {tmp_path / 'run'}"
    assert main(command.split()) == 1
    said = "the network of summing.py must begin with the 4 inputs of Yin-Yang in the"
    assert said in capsys.readouterr().err


def test_a_file_with_an_impossible_name_is_refused(path):
    other = path.rename(path.with_name("my net.py"))
    with pytest.raises(ValueError, match="of letters, digits and any of"):
        ModelFile.read(other)


def test_a_network_of_ones_own_says_what_tables_ask_of_any_run():
    given = NetworkSettings(dataset="digits", model_file=FILE)
    assert (given.batch_size, given.learning_rate) == (50, 0.003)
    assert (given.rule, given.detect, given.device) == ("grid", "end", "cpp")
    assert given.max_spikes is given.projection is None
    assert given.preset == given.series == "summing"
    config = given.config()
    assert config.items() >= given.to_dict().items()
    expected = {"rule": "grid", "detect": "end", "preset": "summing"}
    assert {name: config[name] for name in expected} == expected
    assert Readout(**config["readout"]) == Readout("mean", "sums", "v")
    assert given.callbacks == []
    text = TEXT + "def after_epoch(end):\n    return True\n"
    (own,) = settings(text).callbacks
    assert own(SimpleNamespace(epoch=1))


def test_settings_come_back_from_a_config_with_its_own_file_alone():
    given = settings(seed=3)
    config = json.loads(json.dumps(given.config()))
    assert settings_of(config, FILE) == given
    assert settings_of(config, FILE, seed=5) == replace(given, seed=5)
    words = "of the name summing.py and the same text to the letter"
    for other in (ModelFile("other", TEXT), ModelFile("summing", TEXT + " ")):
        with pytest.raises(ValueError, match=words):
            settings_of(config, other)
    with pytest.raises(ValueError, match="the run's network is that of summing.py"):
        settings_of(config)
    with pytest.raises(ValueError, match="the run's network is that of 3.py"):
        settings_of({**config, "model_file": 3})


@pytest.mark.parametrize(
    "changes", [{"batch_size": 0}, {"learning_rate": 0.0}, {"dt_ms": 0.0}]
)
def test_settings_of_a_network_have_bounds(changes):
    (name,) = changes
    with pytest.raises(ValueError, match=f"'{name}' must be (positive|1 or more)"):
        settings(**changes)


def test_a_network_may_have_just_the_time_and_outputs_that_data_need(digits):
    # A sample lasts 60 ms, there are ten digits and 64 pixels.
    settings(t_max_ms=60.0).check_dataset(digits)
    words = "'t_max_ms' must not exceed the length of a sample, got 60.5 and 60"
    with pytest.raises(ValueError, match=words):
        settings(t_max_ms=60.5).check_dataset(digits)
    few = TEXT.replace('"sums", 10', '"sums", 9')
    words = "must have the 10 classes of .* in 'sums', got 9 neurons"
    with pytest.raises(ValueError, match=words):
        settings(few).check_dataset(digits)
    wide = TEXT.replace('"pixels", 64', '"pixels", 65')
    words = "the network of summing.py must begin with the 64 inputs of .*, got 65"
    with pytest.raises(ValueError, match=words):
        settings(wide).check_dataset(digits)
    # A file that encodes for itself may have any inputs.
    own = "\ndef encode(values, network):\n    return len(values), network.n_inputs\n"
    encoding = settings(wide + own, t_max_ms=500.0)
    encoding.check_dataset(digits)
    assert encoding.encode(digits.test_images[:3], None) == (3, 65)


def test_a_file_that_cannot_encode_is_told(digits):
    broken = settings(TEXT + "\ndef encode(values, network):\n    1/0\n")
    words = r"encode\(values, network\) failed: ZeroDivisionError"
    with pytest.raises(ModelFileError, match=words):
        broken.encode(digits.test_images[:3], None)


def test_a_network_changes_its_time_step_and_keeps_the_rest():
    given = settings(seed=3)
    assert given.at(4.0, "grid") == replace(given, dt_ms=4.0)
    assert given.simulated() == given


def test_a_config_that_describes_no_network_is_refused(run, tmp_path):
    folder = RunFolder(shutil.copytree(run.path, tmp_path / "run"))
    config = folder.config()
    for change in ({"network": {}}, {"preset": "default"}, {"model_file": 3}):
        (folder.path / runs.CONFIG).write_text(json.dumps({**config, **change}))
        with pytest.raises(BsnnError, match="describes no network"):
            read_sweep(folder.path)


def test_weights_may_be_a_function_of_network_and_seed():
    text = TEXT.replace("weights = {", "drawn = {") + (
        "def weights(network, rng):\n"
        '    return {"pixels->cells": rng.normal(size=network.weight_shapes[0]),\n'
        '            "cells->sums": (-1, 1)}\n'
    )
    found = []
    for seed in (3, 3, 4):
        given = settings(text, seed=seed)
        with make_network(given, given.model()) as network:
            found.append(network.weights[0].detach().clone())
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])
    expected = np.random.default_rng(3).normal(size=(64, 12))
    np.testing.assert_array_equal(found[0], expected.astype(np.float32))


def test_a_time_step_is_the_same_however_it_is_written():
    given = settings(dt_ms=0.1)
    assert given.model().dt_seconds == float(0.1 * ms)
