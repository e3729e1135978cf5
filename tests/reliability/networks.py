"""A network's texts as a file from elsewhere has them, and damage done to them."""

import io
import json
import re
import signal
import warnings

import h5py
import numpy as np
from brian2.units import ms

from bsnn import Connection, Inputs, Network, Population
from bsnn.equations.models import cuba
from bsnn.errors import DataError, RunFolderError
from bsnn.interchange import read_nir, write_nir
from bsnn.readout import Readout
from bsnn.runs import CONFIG, RunFolder
from tests.neurons import CASES, SIZE

# Subexpressions, currents, both kinds of refractory period, values for each neuron.
NAMES = ("adex", "condition", "current", "learned_period")
SECONDS = 10  # within which a network is read, or refused
HOSTILE = (
    *("__import__('os').abort()", "().__class__", "v.real", "v[0]", "lambda: v"),
    *("[v for v in v]", "(a:=1)", "f'{v}'", "b'v'", "'v'", '"', "...", "@", "1j"),
    *("9**9**9**9", "v**v**v", "(v+1)**99999", "9**0xffffff", "0x1p3", "1e999"),
    *("9" * 400, "(a+b+C+E)**99", "exp(" * 90 + "v" + ")" * 90, "v" + "+v" * 900),
    *("(" * 300 + "v" + ")" * 300, "-" * 3000 + "v", "((v+1)**50)**50", "1/0"),
    *(";", "#", "\n", "\\", "*/", "//", "{{ dt }}", "{% raw %}", "return;", "\0"),
    *("int double;", "new", "_x", "dt", "N", "i", "xi", "rand()", "poisson(3)"),
    *("not v", "v < v < v", "v if v else v", "True", "exp()", "exp(1, 2)", "f(v)"),
    *("\ndv/dt = 1/ms : 1", "\nv : 1", "\nx = y : 1\ny = x : 1", ": 9**9**9", "é"),
)


def write_network(folder):
    """Write a network as a run folder's settings hold it; return the file."""
    populations = [
        Population(n, SIZE, CASES[n].neuron, record=CASES[n].neuron.states[:1])
        for n in NAMES
    ]
    connections = [Connection("in", n, on_pre=CASES[n].on_pre) for n in NAMES]
    network = Network(
        [Inputs("in", 3), *populations], connections, dt=0.1 * ms, duration=1 * ms
    )
    folder.mkdir()
    (folder / CONFIG).write_text(json.dumps({"network": network.to_dict()}))
    return folder / CONFIG


def describe_own(run):
    """Let a run be one of a network of one's own, in place of its chain."""
    network = Network.from_dict(
        json.loads(write_network(run.path / "network").read_text())["network"]
    )
    config = {n: v for n, v in run.config().items() if n != "model"}
    config |= {"preset": "mine", "model_file": {"name": "mine", "text": "import bsnn"}}
    config |= {"network": network.to_dict(), "readout": Readout().of(network).to_dict()}
    run.write_json(CONFIG, config)


def reader_of_network(path):
    def read():
        values = RunFolder(path.parent).config().get("network")
        network = Network.from_dict(values)
        assert Network.from_dict(network.to_dict()).to_dict() == network.to_dict()

    return in_time(read, path)


def in_time(read, path):
    """Return a reader of a network that must end, or refuse with words, in time."""

    def late(*_):
        raise RuntimeError(f"{path} was not read within {SECONDS} s.")

    def read_in_time():
        for kind in (DeprecationWarning, ResourceWarning):  # of Brian2 itself
            warnings.simplefilter("ignore", kind)
        before = signal.signal(signal.SIGALRM, late)
        signal.alarm(SECONDS)
        try:
            read()
        except (TypeError, ValueError, DataError, RunFolderError) as error:
            assert str(error)
            raise
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)

    return read_in_time


def write_graph(folder):
    """Write a network as a graph of NIR; return the file."""
    populations = [Inputs("in", 3), Population("cells", 2, cuba())]
    joined = Connection("in", "cells", on_pre="i_syn += w", delay=1 * ms)
    network = Network(populations, [joined], dt=1 * ms, duration=9 * ms)
    folder.mkdir()
    write_nir(folder / "graph.nir", network, {"in->cells": np.ones((3, 2))})
    return folder / "graph.nir"


def reader_of_graph(path):
    def read():
        network, weights = read_nir(path, dt=1 * ms, duration=9 * ms)
        for connection, shape in zip(
            network.connections, network.weight_shapes, strict=True
        ):
            assert weights[connection.name].shape == shape

    return in_time(read, path)


def damage_graph(data, rng):
    """Put other numbers, texts or shapes in place of some, or take some out."""
    packed = io.BytesIO(data)
    with h5py.File(packed, "r+") as file:
        found = []
        file.visititems(lambda name, item: found.append(name))
        for name in rng.sample(found, rng.choice((1, 1, 2))):
            if name not in file:
                continue
            text = isinstance(file[name], h5py.Dataset) and file[name].dtype == object
            del file[name]
            if rng.random() < 0.7:
                numbers = (np.float64(-1), np.ones(3), np.full(2, np.nan), 2**62, 1j)
                new = rng.choice(HOSTILE[:20] + ("NIRGraph", "LIF", "Input"))
                usual = rng.random() < 0.8
                file[name] = new if text == usual else rng.choice(numbers)
    return packed.getvalue()


def damage_texts(data, rng):
    """Put what is hostile into a text, in place of a word, or cut some out.

    All but one population is left out, or most of the time would go to what is sound.
    """
    values = json.loads(data)
    network = values["network"]
    k = rng.randrange(len(network["connections"]))
    network["connections"] = [network["connections"][k]]
    network["populations"] = [network["populations"][n] for n in (0, k + 1)]
    neuron = network["populations"][1]["neuron"]
    places = [(neuron, name) for name, text in neuron.items() if isinstance(text, str)]
    places.append((network["connections"][0], "on_pre"))
    for _ in range(rng.choice((1, 1, 2))):
        holder, name = rng.choice(places)
        text = holder[name]
        words = [found.span() for found in re.finditer(r"\w+", text)] or [(0, 0)]
        start, stop = rng.choice(words)
        kind = rng.randrange(4)
        if kind == 0:
            start = stop = rng.randrange(len(text) + 1)
        elif kind == 1:
            start = stop = len(text)
        new = "" if kind == 2 else rng.choice(HOSTILE)
        holder[name] = text[:start] + new + text[stop:]
    return json.dumps(values).encode()
