"""Every reader of files, a valid file for each, and damage done to it."""

import contextlib
import gzip
import io
import json
import math
import random
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

import bsnn
from bsnn import runs
from bsnn.analysis import Measurement, console_table, read_sweep
from bsnn.analysis.study import one_neuron
from bsnn.analysis.study.sweep import NoData
from bsnn.analysis.traces import raster_table
from bsnn.cli.arguments import make_parser
from bsnn.cli.main import _settings_of
from bsnn.errors import BackendUnavailable, DataError, RunFolderError
from bsnn.inputs.hdf5 import EventFile
from bsnn.inputs.idx import read_idx
from bsnn.inputs.wav import read_wave
from bsnn.settings import SETTINGS, Settings
from bsnn.simulators.base import check_model
from bsnn.training.experiments.checkpoint import (
    load_checkpoint,
    restore_training,
    save_checkpoint,
)
from bsnn.training.from_settings import make_loss
from tests.inputs.event_files import write_events
from tests.inputs.test_sound import write_wav
from tests.reliability import networks
from tests.training.experiments import sweep_folders

IMAGE_SHAPE = (4, 4)


@dataclass(frozen=True, kw_only=True)
class Reader:
    """How one kind of file is read, and what it may raise.

    Parameters
    ----------
    path : Path
        Where `read` finds the file.
    read : callable
        Reads the file, and uses what it got as bsnn would.
    refuses : tuple of type
        The documented errors.
    damages : tuple of callable
        ``damage(data, rng)`` that know the format.
    valid : bytes
    """

    path: Path
    read: Callable
    refuses: tuple[type, ...]
    damages: tuple[Callable, ...]
    valid: bytes = field(repr=False)

    def accepts(self, data):
        """Return whether the file is read; what is no documented error passes."""
        self.path.write_bytes(data)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                self.read()
        except self.refuses:
            return False
        return True

    def damaged(self, data, rng):
        """Return `data` with damage that `rng` draws."""
        damage = rng.choice((damage_bytes, *self.damages))
        try:
            return damage(data, rng)
        except Exception:  # it is so damaged that it has no structure left
            return damage_bytes(data, rng)


def make_readers(folder):
    """Return the `Reader` of each kind of file, by name; they work in `folder`."""
    pixels = np.random.default_rng(1).integers(0, 256, (3, *IMAGE_SHAPE), np.uint8)
    images = bytes.fromhex("00000803 00000003 00000004 00000004") + pixels.tobytes()
    labels = bytes.fromhex("00000801 00000003 03 01 04")
    readers = {}

    def add(name, path, read, refuses, *damages, valid=None):
        path.parent.mkdir(exist_ok=True)
        readers[name] = Reader(
            path=path,
            read=read,
            refuses=refuses if isinstance(refuses, tuple) else (refuses,),
            damages=damages,
            valid=path.read_bytes() if valid is None else valid,
        )

    for name, data, shape in (("images", images, IMAGE_SHAPE), ("labels", labels, ())):
        for suffix, pack, damages in (
            ("", bytes, ()),
            (".gz", gzip.compress, (damage_gzip,)),
        ):
            path = folder / "idx" / f"{name}{suffix}"
            read = _reader_of_idx(path, shape)
            add(name + suffix, path, read, DataError, *damages, valid=pack(data))

    path = folder / "hdf5" / "events.h5"
    write_events(path, [([0.1, 0.2], [1, 2])] * 3, [0, 1, 2])
    add("events.h5", path, _reader_of_events(path), DataError)

    path = networks.write_graph(folder / "nir")
    refuses, damages = (DataError, TypeError, ValueError), (networks.damage_graph,)
    add("graph.nir", path, networks.reader_of_graph(path), refuses, *damages)

    path = write_wav(folder / "wav" / "sound.wav", range(0, 9000, 90))
    add("sound.wav", path, lambda path=path: read_wave(path), DataError)

    run = _write_run(folder / "spikes")
    path = run.path / runs.SPIKES
    add("spikes", path, _reader_of_spikes(run), RunFolderError, damage_zip, damage_npz)
    path = _write_run(folder / "settings").path / runs.CONFIG
    refuses = (ValueError, RunFolderError)
    add("settings", path, _reader_of_settings(path), refuses, damage_json)
    path = networks.write_network(folder / "network")
    refuses = (TypeError, ValueError, RunFolderError)
    damages = (damage_json, networks.damage_texts, networks.damage_texts)
    add("network", path, networks.reader_of_network(path), refuses, *damages)
    path = folder / "settings" / "options"
    words = "digits --dt-ms 2 --rule grid --seed 3 --true 8 --layers 64 9 10"
    add(
        "options",
        path,
        _reader_of_options(path),
        (ValueError, BackendUnavailable),
        damage_words,
        valid="\n".join(words.split()).encode(),
    )
    for name, damage in (
        (runs.CONFIG, damage_json),
        (runs.SUMMARY, damage_json),
        (runs.METRICS, damage_table),
        (runs.CONFIDENCE, damage_table),
        (runs.EVALUATIONS, damage_table),
    ):
        run = _write_run(folder / name.replace(".", "_"))
        add(name, run.path / name, _reader_of_run(run), RunFolderError, damage)
    run = _write_run(folder / "own_network")
    networks.describe_own(run)
    path, damages = run.path / runs.CONFIG, (damage_json, networks.damage_texts)
    read = networks.in_time(_reader_of_run(run), path)
    add("own network", path, read, RunFolderError, *damages)
    run = _write_run(folder / "one_neuron")
    sweep_folders.write_counts(run.path)
    path = run.path / one_neuron.FILE
    add(one_neuron.FILE, path, _reader_of_counts(run), NoData, damage_table)
    run = _write_run(folder / "checkpoint")
    add(
        "checkpoint",
        write_checkpoint(run),
        _reader_of_checkpoint(run),
        RunFolderError,
        damage_zip,
        damage_state,
    )
    return readers


def _write_run(parent):
    parent.mkdir()
    run = sweep_folders.write_run(parent)
    sweep_folders.write_example(run)
    sweep_folders.write_evaluations(run, "grid", seed=0)
    return run


def _reader_of_idx(path, shape):
    def read():
        items = read_idx(path, shape)
        assert items.shape[1:] == shape

    return read


def _reader_of_events(path):
    def read():
        file = EventFile(path, allow_empty=True)
        file.take(np.arange(min(len(file), 10)))

    return read


def _reader_of_spikes(run):
    def read():
        layers, labels = run.spikes()
        int(labels[0])
        for layer in layers:
            layer.counts()
        raster_table([layer.select(0, 1) for layer in layers])

    return read


def _reader_of_settings(path):
    # As evaluation reads them.
    values = Settings.reference("digits", dt_ms=0.0, max_spikes=(3, 4))
    path.write_text(json.dumps(values.config()))

    def read():
        config = runs.RunFolder(path.parent).config()
        Settings.from_config(config).model()
        bsnn.Model.from_dict(config.get("model"))

    return read


def _reader_of_options(path):
    # As the command reads them, one word a line.
    def read():
        words = path.read_bytes().decode(errors="surrogateescape").split("\n")
        said = io.StringIO()
        try:
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                arguments = make_parser().parse_args(["train", *words])
        except SystemExit as usage:
            raise ValueError(said.getvalue()) from usage
        settings = _settings_of(arguments)
        check_model(settings.model())
        make_loss(settings)
        assert 0 < settings.learning_rate_at(settings.epochs) < math.inf
        assert Settings.from_config(settings.config()) == settings

    return read


def _reader_of_run(run):
    def read():
        run.metrics()
        console_table(read_sweep(run.path).runs)

    return read


def make_network():
    """Return what checkpoints need of a network, without a program, and its Adam."""
    model = sweep_folders.model("grid", 1.0)
    rng = torch.Generator().manual_seed(3)
    weights = [
        torch.nn.Parameter(torch.rand(shape, generator=rng))
        for shape in model.weight_shapes
    ]
    named = [(f"layer {n}", weight) for n, weight in enumerate(weights, start=1)]
    network = SimpleNamespace(
        model=model, weights=weights, named_weights=lambda: named, n_clamped=2
    )
    return network, torch.optim.Adam(weights, fused=True)


def _step(network, optimizer):
    for weight in network.weights:
        weight.grad = torch.ones_like(weight)
    optimizer.step()


def write_checkpoint(run):
    """Write a checkpoint within the second epoch to a run folder; return its path."""
    network, optimizer = make_network()
    _step(network, optimizer)
    layers, labels = run.spikes()
    measured = Measurement(network.model, 15)
    measured.add(layers[1:], labels)
    within = {
        "batch": 1,
        "loss": 2.5,
        "n_samples": 2,
        "seconds": 0.5,
        "measured": measured.state(),
    }
    save_checkpoint(
        run,
        network,
        optimizer,
        epoch=2,
        rows=run.metrics().to_dict("records"),
        within=within,
    )
    return run.path / runs.CHECKPOINT


def _reader_of_counts(run):
    return lambda: one_neuron.read_counts(read_sweep(run.path))


def _reader_of_checkpoint(run):
    def read():
        state = load_checkpoint(run)
        network, optimizer = make_network()
        restore_training(network, optimizer, state)
        if state["within"] is not None:
            try:
                Measurement(network.model, 15).restore(state["within"]["measured"])
            except ValueError:  # training adds the name of the folder
                return
        _step(network, optimizer)

    return read


# --- damage ---------------------------------------------------------------------------

DEEP = "a deeply nested list"
NUMBERS = (0, 1, 127, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63, 2**64 - 1)
VALUES = (
    *(None, True, -1, 0, 1, 2, 2**31, 2**63, 10**400, 1.5, -2.5, 1e-300, 1e300),
    *(float("nan"), float("inf"), "", "x", "1", "../x", "\x1b[2J", "\0", "\ud800"),
    *([], [1], [[]], {}, {"a": 1}, DEEP),
)


def damage_bytes(data, rng):
    """Flip bits, cut, insert, repeat, and overwrite bytes with awkward numbers."""
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.randrange(len(data) + 1)
        end = at + rng.choice((1, 2, 4, 8, 50))
        other = rng.randrange(len(data) + 1)
        width, order = rng.choice((1, 2, 4, 8)), rng.choice(("big", "little"))
        number = rng.choice(NUMBERS) % 2 ** (8 * width)
        kind = rng.randrange(7)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del data[at:]
        elif kind == 2:
            del data[at:end]
        elif kind == 3:
            data[at:at] = rng.randbytes(end - at)
        elif kind == 4:
            data[at:at] = data[other : other + end - at]
        elif kind == 5:
            data[at:end] = data[other : other + end - at]
        else:
            data[at : at + width] = number.to_bytes(width, order)
    return bytes(data)


def damage_gzip(data, rng):
    return gzip.compress(damage_bytes(gzip.decompress(data), rng), 1)


def damage_zip(data, rng):
    """Damage a member, or how members are called, ordered, repeated or packed."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    at, other = rng.randrange(len(members)), rng.randrange(len(members))
    (name, content), kind = members[at], rng.randrange(6)
    if kind == 0:
        del members[at]
    elif kind == 1:
        members.append((name, damage_bytes(content, rng)))
    elif kind == 2:
        members[at] = (rng.choice(("../x", "/x", "x.npy", "", "\x1b[2J")), content)
    elif kind == 3:
        members[at] = (name, members[other][1])
    else:
        members[at] = (name, damage_bytes(content, rng))
    stored, deflated = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
    packing = rng.choice((stored, stored, deflated, deflated, zipfile.ZIP_BZIP2))
    packed = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names given twice
        with zipfile.ZipFile(packed, "w", packing) as archive:
            for name, content in members:
                archive.writestr(name, content)
    return packed.getvalue()


def damage_npz(data, rng):
    """Put another array in the place of one."""
    with np.load(io.BytesIO(data)) as loaded:
        arrays = dict(loaded)
    name = rng.choice(sorted(arrays))
    array = arrays[name]
    with np.errstate(all="ignore"):
        arrays[name] = rng.choice(
            (
                array.astype(rng.choice(("f8", "i1", "u8", "c16", "U", "?", "M8[s]"))),
                np.full_like(array, rng.choice((-1, 0, 1, 127))),
                array * 2.0**62,
                array.reshape(1, -1),
                array[..., None],
                array.ravel()[::-1],
                array.ravel()[:-1],
                np.append(array, array),
                np.array(rng.choice((np.nan, np.inf, -1.0, 2**62))),
                np.array([("a", 1)], "U1, i4"),
            )
        )
    packed = io.BytesIO()
    np.savez(packed, **arrays)
    return packed.getvalue()


def damage_json(data, rng):
    """Put another value in the place of one, or none."""
    text = json.dumps(_damage_nodes(json.loads(data), rng))
    text = text.replace(f'"{DEEP}"', "[" * 100_000 + "]" * 100_000)
    return text.replace(rng.choice(("Infinity", "\0")), "1e999").encode()


def damage_words(data, rng):
    """Leave a word out, put another in its place, or add an option with a value."""
    words = data.decode().split("\n")
    at, kind = rng.randrange(len(words)), rng.randrange(4)
    setting, value = rng.choice(tuple(SETTINGS.values())), str(rng.choice(VALUES))
    option = setting.option
    if kind == 0:
        del words[at]
    elif kind == 1:
        words[at] = rng.choice((option, value))
    else:
        words += [option, value]
    return "\n".join(words).encode(errors="surrogatepass")


def damage_state(data, rng):
    """Put another value in the place of one of a checkpoint's."""
    state = torch.load(io.BytesIO(data), weights_only=True)
    values = (
        torch.zeros(2, 3),
        torch.zeros(()),
        torch.full((5, 4), float("nan")),
        torch.ones(5, 4, dtype=torch.int64),
        torch.ones(1, 1).expand(5, 4),
        torch.ones(5, 4).to_sparse(),
        torch.empty(5, 4, device="meta"),
    )
    packed = io.BytesIO()
    torch.save(_damage_nodes(state, rng, values), packed)
    return packed.getvalue()


def damage_table(data, rng):
    """Put another value in the place of one, or of none, of a CSV table."""
    rows = [line.split(",") for line in data.decode().splitlines()]
    row = rng.choice(rows)
    at, value = rng.randrange(len(row)), rng.choice((*VALUES, '"', "1_0", "0x1", " 1"))
    kind = rng.randrange(5)
    if kind == 0:
        del row[at]
    elif kind == 1:
        row.insert(at, str(value))
    elif kind == 2:
        rows.append(row)
    else:
        row[at] = str(value)
    return "\n".join(map(",".join, rows)).encode(errors="surrogatepass")


def _damage_nodes(values, rng, more=()):
    nodes = list(_nodes(values))
    holder, key = rng.choice(nodes)
    if rng.random() < 0.2:
        del holder[key]
    else:
        holder[key] = rng.choice((*VALUES, *more))
    return values


def _nodes(values):
    for key in list(values) if isinstance(values, dict) else range(len(values)):
        yield values, key
        if isinstance(values[key], (dict, list)):
            yield from _nodes(values[key])


def make_rng(seed):
    """Return a source of damage that is the same everywhere."""
    return random.Random(seed)
