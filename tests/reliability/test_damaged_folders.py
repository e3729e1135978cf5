"""What is wrong with a damaged or foreign file of a run folder, by its message."""

import io
import json
import zipfile

import numpy as np
import pytest
import torch
from brian2 import ms

from bsnn import runs
from bsnn.analysis import Measurement, read_sweep
from bsnn.analysis.figures import membrane
from bsnn.analysis.study.one_neuron import model_and_steps
from bsnn.analysis.study.sweep import NoData
from bsnn.errors import RunFolderError
from bsnn.interchange.npz import MAX_UNPACKED, load_spikes
from bsnn.runs import RunFolder
from bsnn.simulators.one_neuron import count_table
from bsnn.training.experiments.checkpoint import load_checkpoint
from tests.models import study_model
from tests.reliability.test_untrusted_files import (
    CLAIMED,
    RESERVE,
    array_claiming,
    npz_of,
    pickled,
    zip_bomb,
    zip_of,
)
from tests.reliability.untrusted import make_readers
from tests.training.experiments import sweep_folders


@pytest.fixture(scope="module")
def readers(tmp_path_factory):
    return make_readers(tmp_path_factory.mktemp("readers"))


# --- checkpoints ----------------------------------------------------------------------


def nested():
    found = [1.0]
    for _ in range(30):
        found = [found, found]
    return found


def damaged_state(data, change):
    state = torch.load(io.BytesIO(data), weights_only=True)
    change(state, state["optimizer"]["state"])
    packed = io.BytesIO()
    torch.save(state, packed)
    return packed.getvalue()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda s, moments: moments.pop(1), "its moments are not those of its weights"),
        (lambda s, moments: moments[0].pop("exp_avg"), "not those of Adam"),
        (
            lambda s, moments: moments[0].update(exp_avg=torch.zeros(1, 1)),
            "its moments are not those of its weights",
        ),
        (
            lambda s, moments: moments[0].update(step=torch.zeros(1)),
            "its moments are not those of its weights",
        ),
        (lambda s, moments: s["rows"].pop(), "its rows are not those of its epochs"),
        (lambda s, moments: s["rows"][0].update(more=1), "not those of its tables"),
        (lambda s, moments: s["rows"][0].update(loss="x"), "not those of its tables"),
        (lambda s, moments: s["within"].update(more=1), "not those of its tables"),
        (lambda s, moments: s.update(n_clamped=-1), "a count is no count"),
        (lambda s, moments: s["within"].update(batch=1.5), "a count is no count"),
        (lambda s, moments: s.update(n_clamped=True), "a count is no count"),
        (lambda s, moments: s.update(n_clamped=torch.zeros(1)), "it holds a Tensor"),
        (lambda s, moments: s["within"].update(measured=nested()), "it repeats itself"),
        (lambda s, moments: s["weights"][0].fill_(np.nan), "a tensor is not as it was"),
        (
            lambda s, moments: s["weights"].__setitem__(0, s["weights"][0].long()),
            "it names torch LongStorage",
        ),
        (
            lambda s, moments: s["weights"].__setitem__(0, s["weights"][0].t()),
            "a tensor is not as it was",
        ),
    ],
)
def test_a_damaged_state_of_a_checkpoint(readers, change, why):
    reader = readers["checkpoint"]
    reader.path.write_bytes(damaged_state(reader.valid, change))
    with pytest.raises(RunFolderError, match="is damaged.*train again") as raised:
        load_checkpoint(RunFolder(reader.path.parent))
    assert why in str(raised.value.__cause__)


def squeezed(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    return zip_of(members, zipfile.ZIP_DEFLATED)


def altered(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        largest = max(archive.infolist(), key=lambda info: info.file_size)
        content = archive.read(largest)
    at = data.index(content)
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (squeezed, "it is packed"),
        (altered, "its bytes are not those that were written"),
        (lambda data: pickled(RESERVE), "it names builtins bytearray"),
    ],
)
def test_a_damaged_archive_of_a_checkpoint(readers, damage, why):
    reader = readers["checkpoint"]
    reader.path.write_bytes(damage(reader.valid))
    with pytest.raises(RunFolderError, match="is damaged") as raised:
        load_checkpoint(RunFolder(reader.path.parent))
    assert why in str(raised.value.__cause__)


def test_a_checkpoint_of_another_version_and_none(readers, tmp_path):
    reader = readers["checkpoint"]
    for change in (lambda s, _: s.update(format=1), lambda s, _: s.pop("format")):
        reader.path.write_bytes(damaged_state(reader.valid, change))
        with pytest.raises(RunFolderError, match="no checkpoint of this version of b"):
            load_checkpoint(RunFolder(reader.path.parent))
    with pytest.raises(RunFolderError, match="holds no checkpoint.pt; train first"):
        load_checkpoint(RunFolder(tmp_path))


# --- spikes ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda a: {"n_neurons": a["n_neurons"][:0]}, "a layer, and int labels"),
        (lambda a: {"labels": a["labels"][:0]}, "a layer, and int labels"),
        (lambda a: {"labels": a["labels"] * 1.0}, "a layer, and int labels"),
        (lambda a: {"labels": np.append(a["labels"], 0)}, "one label for each sample"),
        (
            lambda a: {"n_neurons": np.array([2**30, 4, 3])},
            "a layer must not have 1073741824 neurons",
        ),
    ],
)
def test_damaged_spikes(readers, change, why):
    reader = readers["spikes"]
    with np.load(io.BytesIO(reader.valid)) as arrays:
        arrays = dict(arrays)
    reader.path.write_bytes(npz_of(arrays | change(arrays)))
    with pytest.raises(RunFolderError, match=rf"cannot be read as spikes \(.*{why}"):
        load_spikes(reader.path)


def second_version():
    written = io.BytesIO()
    np.lib.format.write_array(written, np.zeros(2), version=(2, 0))
    return written.getvalue()


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: zip_of({"dt.npy": second_version()}), "'dt.npy' is no array"),
        (
            lambda: zip_bomb("dt.npy", CLAIMED, array_claiming(CLAIMED // 8)),
            f"unpacks to {CLAIMED} bytes, not {MAX_UNPACKED} at most",
        ),
    ],
)
def test_damaged_archives_of_spikes(readers, make, why):
    reader = readers["spikes"]
    reader.path.write_bytes(make())
    with pytest.raises(RunFolderError, match=f"cannot be read as spikes.*{why}"):
        load_spikes(reader.path)


# --- the folder, its tables and its configuration -------------------------------------


def test_a_path_that_is_no_run_folder(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(RunFolderError, match="'out' must name a folder, .* is a file"):
        RunFolder(file).check_free({})
    with pytest.raises(RunFolderError, match="file/run cannot be written .*free space"):
        RunFolder(file / "run").create({})
    with pytest.raises(RunFolderError, match="file/run cannot be written .*free space"):
        with RunFolder(file / "run").locked():
            pass
    for read, what in (("summary", "a finished run"), ("config", "a run")):
        words = f"holds no {read}.json: it is not the folder of {what}"
        with pytest.raises(RunFolderError, match=words):
            getattr(RunFolder(tmp_path), read)()
    (tmp_path / runs.METRICS).write_bytes(b"\xff\xfe,")
    with pytest.raises(RunFolderError, match=r"metrics.csv is damaged \(.*train again"):
        RunFolder(tmp_path).metrics()
    (tmp_path / runs.METRICS).write_text("epoch,split\n1,test\n")
    with pytest.raises(RunFolderError, match="damaged .without column accuracy, "):
        RunFolder(tmp_path).metrics()
    (tmp_path / runs.SUMMARY).write_text("[1]")
    with pytest.raises(RunFolderError, match="damaged .it holds no JSON object"):
        RunFolder(tmp_path).summary()


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        (runs.CONFIG, {"model": {"n_inputs": 3}}, "has an impossible model"),
        (runs.EVALUATIONS, b"a,b\n1,2\n", "cannot be read"),
        (runs.EVALUATIONS, b"rule,dt_ms,accuracy\ngrid,x,1\n", "holds no numbers"),
    ],
)
def test_what_analyses_cannot_read(name, content, why, tmp_path):
    run = sweep_folders.write_run(tmp_path)
    if isinstance(content, dict):
        content = json.dumps({**run.config(), **content}).encode()
    (run.path / name).write_bytes(content)
    with pytest.raises(RunFolderError, match=f"{name} {why}"):
        read_sweep(tmp_path)


def test_the_state_of_another_measurement():
    layers = [3, 2]
    models = [
        study_model([2, *sizes], 0.5, duration=20 * ms) for sizes in (layers, [4, 2])
    ]
    one, other = (Measurement(model, 15) for model in models)
    with pytest.raises(ValueError, match="'state' must be that of a measurement of"):
        one.restore(other.state())
    for state in ({}, {**one.state(), "arrived": "x"}, {**one.state(), "sums": 3}):
        with pytest.raises(ValueError, match="'state' is damaged"):
            one.restore(state)
    one.restore(one.state())


# --- figures that cannot be drawn -----------------------------------------------------


def change_config(run, **changes):
    config = {**run.config(), **changes}
    run.write_json(runs.CONFIG, {k: v for k, v in config.items() if v is not None})


def no_weights(path):
    raise RunFolderError("no weights there")


def test_a_membrane_needs_weights_and_a_model(tmp_path):
    run = sweep_folders.write_run(tmp_path)
    sweep_folders.write_example(run)
    with pytest.raises(NoData, match="no way to load them was given"):
        membrane.draw(read_sweep(tmp_path))
    with pytest.raises(NoData, match="no weights there"):
        membrane.draw(read_sweep(tmp_path, load_weights=no_weights))
    change_config(run, model=None)
    with pytest.raises(NoData, match="describes no chain of CUBA LIF neurons"):
        membrane.draw(read_sweep(tmp_path, load_weights=no_weights))


def test_one_neuron_needs_a_model_and_its_closed_form(tmp_path):
    run = sweep_folders.write_run(tmp_path)
    model = run.config()["model"]
    for neuron in model["neurons"]:
        neuron["tau_mem"] = 0.2
    change_config(run, model=model)
    with pytest.raises(ValueError, match="'tau_mem' .* must be 2 tau_syn"):
        count_table(*model_and_steps(read_sweep(tmp_path)))
    change_config(run, model=None)
    with pytest.raises(NoData, match="above 0, and a chain of CUBA LIF neurons"):
        model_and_steps(read_sweep(tmp_path))
