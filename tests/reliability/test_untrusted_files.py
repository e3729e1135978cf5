"""Damaged and hostile files: read, or refused with the documented error."""

import io
import json
import os
import pickle
import struct
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bsnn import runs
from bsnn.analysis import read_sweep
from bsnn.analysis.figures import raster
from bsnn.errors import RunFolderError
from bsnn.interchange.npz import load_spikes, save_spikes
from bsnn.runs import RunFolder
from bsnn.settings import Settings
from bsnn.training.experiments.checkpoint import load_checkpoint
from tests.reliability.untrusted import make_readers, make_rng
from tests.training.experiments import sweep_folders

READERS = (
    "images",
    "images.gz",
    "labels",
    "labels.gz",
    "events.h5",
    "graph.nir",
    "sound.wav",
    "spikes",
    "settings",
    "network",
    "options",
    "config.json",
    "summary.json",
    "metrics.csv",
    "confidence.csv",
    "evaluations.csv",
    "own network",
    "one_neuron.csv",
    "checkpoint",
)


@pytest.fixture(scope="module")
def readers(tmp_path_factory):
    made = make_readers(tmp_path_factory.mktemp("readers"))
    assert tuple(made) == READERS
    return made


@pytest.mark.parametrize("name", READERS)
def test_what_is_not_damaged_is_read(readers, name):
    assert readers[name].accepts(readers[name].valid)


HDF5 = ("events.h5", "graph.nir")


@pytest.mark.parametrize("name", [n for n in READERS if n not in HDF5])
@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(rng=st.randoms(use_true_random=False))
def test_what_is_damaged_is_read_or_refused(readers, name, rng):
    readers[name].accepts(readers[name].damaged(readers[name].valid, rng))


@pytest.mark.slow
@pytest.mark.parametrize("name", HDF5)
def test_damaged_hdf5_files_are_read_or_refused(readers, name):
    # A process each; on some the library loops until its time is over.
    reader, rng = readers[name], make_rng(4)
    accepted = [reader.accepts(reader.damaged(reader.valid, rng)) for _ in range(25)]
    assert any(accepted) and not all(accepted)


def test_a_checkpoint_with_another_bit_is_refused_or_the_same(readers):
    """Bytes that torch would take without a word are weights, and what is a folder."""
    reader = readers["checkpoint"]
    folder = RunFolder(reader.path.parent)

    def load():
        packed = io.BytesIO()
        torch.save(load_checkpoint(folder), packed)
        return packed.getvalue()

    reader.path.write_bytes(reader.valid)
    expected, n_refused, places = load(), 0, range(0, len(reader.valid), 7)
    for at in places:
        content = bytearray(reader.valid)
        content[at] ^= 0x10
        reader.path.write_bytes(content)
        try:
            assert load() == expected, at
        except RunFolderError:
            n_refused += 1
    assert n_refused > len(places) / 2


# --- memory ---------------------------------------------------------------------------

CLAIMED = 3 << 30  # bytes
BOUND = 16 << 20


def peak_of(function):
    """Return the most memory that a refusal took, in bytes."""
    tracemalloc.start()
    try:
        with pytest.raises(RunFolderError):
            function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def zip_bomb(name, declared, begin=b""):
    """Return a zip of one member, `begin` and `CLAIMED` zeros; it declares a size."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    begin = squeeze.compress(begin) + squeeze.flush(zlib.Z_FULL_FLUSH)
    # A full flush forgets what was before, so the pieces can be repeated.
    piece = squeeze.compress(bytes(1 << 20)) + squeeze.flush(zlib.Z_FULL_FLUSH)
    packed = begin + piece * (CLAIMED >> 20) + squeeze.flush()
    name = name.encode()
    common = struct.pack("<5H3I", 20, 0, 8, 0, 0, 0, len(packed), declared)
    common += struct.pack("<2H", len(name), 0)
    local = b"PK\3\4" + common + name + packed
    entry = b"PK\1\2" + struct.pack("<H", 20) + common + bytes(14) + name
    end = struct.pack("<4H2IH", 0, 0, 1, 1, len(entry), len(local), 0)
    return local + entry + b"PK\5\6" + end


def array_claiming(*shape):
    """Return what begins an array in the format of numpy, by its description."""
    header = f"{{'descr': '<i8', 'fortran_order': False, 'shape': {shape}}}"
    header = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header


def zip_of(members, packing=zipfile.ZIP_STORED):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", packing) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return packed.getvalue()


def npz_of(arrays):
    packed = io.BytesIO()
    np.savez(packed, **arrays)
    return packed.getvalue()


@pytest.mark.parametrize(
    "make",
    [
        lambda arrays: zip_bomb("dt.npy", CLAIMED, array_claiming(CLAIMED // 8)),
        lambda arrays: zip_bomb("dt.npy", 10**6, array_claiming(CLAIMED // 8)),
        lambda arrays: zip_of({"dt.npy": array_claiming(2**31, 28, 28) + bytes(8)}),
        lambda arrays: npz_of(arrays | {"n_neurons": np.array([2**31, 4, 3])}),
    ],
    ids=["bomb", "bomb that lies", "array", "neurons"],
)
def test_spikes_that_claim_gigabytes_are_refused(readers, make):
    reader = readers["spikes"]
    with np.load(io.BytesIO(reader.valid)) as arrays:
        reader.path.write_bytes(make(dict(arrays)))
    assert peak_of(lambda: load_spikes(reader.path)) < BOUND


def test_packings_that_have_no_bound_are_refused(readers):
    reader = readers["spikes"]
    with zipfile.ZipFile(io.BytesIO(reader.valid)) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    reader.path.write_bytes(zip_of(members, zipfile.ZIP_DEFLATED))
    load_spikes(reader.path)
    for packing in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        reader.path.write_bytes(zip_of(members, packing))
        with pytest.raises(RunFolderError, match="packed in another way than bsnn's"):
            load_spikes(reader.path)


def pickled(content):
    return zip_of({"archive/data.pkl": content, "archive/version": b"3\n"})


# "bytearray" is among the names that torch takes for harmless.
RESERVE = b"\x80\2cbuiltins\nbytearray\nJ" + struct.pack("<i", 2**31 - 1) + b"\x85R."


@pytest.mark.parametrize(
    "make",
    [
        lambda: zip_bomb("archive/data.pkl", CLAIMED),
        lambda: zip_bomb("archive/data.pkl", 1000),
        lambda: pickled(RESERVE),
    ],
    ids=["bomb", "bomb that lies", "pickle"],
)
def test_checkpoints_that_claim_gigabytes_are_refused(readers, make):
    reader = readers["checkpoint"]
    reader.path.write_bytes(make())
    assert peak_of(lambda: load_checkpoint(RunFolder(reader.path.parent))) < BOUND


def test_a_list_that_holds_itself_many_times_is_refused(readers):
    reader, nested = readers["checkpoint"], [1.0]
    for _ in range(30):
        nested = [nested, nested]
    state = torch.load(io.BytesIO(reader.valid), weights_only=True)
    state["within"]["measured"]["arrived"] = nested
    torch.save(state, reader.path)
    assert peak_of(lambda: load_checkpoint(RunFolder(reader.path.parent))) < BOUND


# --- code and paths -------------------------------------------------------------------


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_pickles_are_not_executed(readers, tmp_path):
    evil = Evil(tmp_path / "evil")
    reader = readers["spikes"]
    objects = np.array([evil], object)
    for content in (npz_of({"labels": objects}), pickle.dumps(objects)):
        reader.path.write_bytes(content)
        with pytest.raises(RunFolderError, match="cannot be read as spikes"):
            load_spikes(reader.path)
    path = readers["checkpoint"].path
    legacy = {"_use_new_zipfile_serialization": False}
    for options in ({}, legacy):
        torch.save({"format": 2, "evil": evil}, path, **options)
        with pytest.raises(RunFolderError, match="is damaged"):
            load_checkpoint(RunFolder(path.parent))
    # An opcode that names what it calls itself.
    calls = b"(S'" + str(evil.path).encode() + b"'\nios\nmkdir\n."
    for content in (pickle.dumps(evil), pickled(calls)):
        path.write_bytes(content)
        with pytest.raises(RunFolderError, match="is damaged"):
            load_checkpoint(RunFolder(path.parent))
    assert not evil.path.exists()
    pickle.loads(pickle.dumps(evil))
    assert evil.path.exists()


@pytest.mark.parametrize("name", ["spikes", "checkpoint"])
def test_archives_write_nothing(readers, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    reader = readers[name]
    with zipfile.ZipFile(io.BytesIO(reader.valid)) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    before = sorted(reader.path.parents[1].rglob("*"))
    reader.accepts(zip_of({"../../evil": b"x", "/tmp/evil": b"x"} | members))
    assert sorted(reader.path.parents[1].rglob("*")) == before
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["../digits", "/digits", "digits\n", "\x1b[2J", ""])
def test_names_of_data_sets_are_no_paths(readers, name):
    with pytest.raises(ValueError, match="'dataset' must be one of mnist, "):
        Settings.reference(name)
    values = Settings.reference("digits").to_dict()
    assert Settings.from_dict({**values, "dataset": "my-set_2.0"})
    with pytest.raises(ValueError, match="'dataset' must be a name of letters"):
        Settings.from_dict({**values, "dataset": name})
    reader = readers[runs.CONFIG]
    reader.path.write_text(json.dumps({**json.loads(reader.valid), "dataset": name}))
    with pytest.raises(RunFolderError, match="config.json has dataset = "):
        read_sweep(reader.path.parent)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"layers": 5}, r"'layers' must be tuple\[int, ...\], got 5"),
        ({"epochs": "3"}, "'epochs' must be int, got '3'"),
        ({"epochs": True}, "'epochs' must be int, got True"),
        ({"learning_rate": 10**400}, "'learning_rate' must be finite, got 1000"),
        ({"true": float("nan")}, "'true' must be finite, got nan"),
        ({"n_train": [1]}, r"'n_train' must be int | None, got \[1\]"),
    ],
)
def test_settings_of_another_kind_are_refused(values, words):
    with pytest.raises(ValueError, match=words):
        Settings.reference("digits", **values)


def test_spikes_of_another_model_are_refused(tmp_path):
    run = sweep_folders.write_run(tmp_path)
    sweep_folders.write_example(run)
    layers, labels = run.spikes()
    raster.draw(read_sweep(run.path))
    for other in (
        (layers[:2], labels),
        ([layers[0], *layers], labels),
        (layers[::-1], labels),
        (layers, labels + 3),
    ):
        save_spikes(run.path / runs.SPIKES, *other)
        with pytest.raises(RunFolderError, match="spikes.npz of digits.* its model"):
            raster.draw(read_sweep(run.path))


def test_nested_json_is_damaged(readers):
    reader = readers[runs.CONFIG]
    reader.path.write_text('{"dataset": ' + "[" * 100_000 + "]" * 100_000 + "}")
    with pytest.raises(RunFolderError, match="config.json is damaged"):
        RunFolder(reader.path.parent).config()
