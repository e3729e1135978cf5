"""Graphs of NIR that bsnn has not made: read by what NIR's documentation says."""

import subprocess
import sys

import h5py
import nir
import numpy as np
import pytest
from brian2.units import ms

from bsnn.errors import DataError, RunFolderError
from bsnn.interchange import from_nir, read_nir, to_nir, write_nir
from tests.interchange.test_nir import draw_inputs, run
from tests.oracles.nir import spikes_of

DT, DURATION = 1 * ms, 60 * ms
TIMES = {"dt": DT, "duration": DURATION}


def full(n, value):
    return np.full(n, float(value))


def lif(n, **changes):
    values = {"tau": 0.01, "r": 10.0, "v_leak": 0.1, "v_threshold": 1.0, **changes}
    return nir.LIF(**{name: full(n, value) for name, value in values.items()})


def cuba(n, **changes):
    values = {"tau_syn": 0.005, "tau_mem": 0.01, "r": 10.0, "v_leak": 0.0}
    values |= {"v_threshold": 1.0, "w_in": 5.0, **changes}
    return nir.CubaLIF(**{name: full(n, value) for name, value in values.items()})


def chain(*nodes, size=3, **more):
    """Return a graph of an Input, nodes one after another, and an Output."""
    last = next(n for n in nodes[::-1] if hasattr(n, "r"))
    names = ["in", *(f"n{k}" for k in range(len(nodes))), "out"]
    ends = (
        nir.Input({"input": np.atleast_1d(size)}),
        nir.Output({"output": np.array(last.r.shape)}),
    )
    graph = dict(zip(names, (ends[0], *nodes, ends[1]), strict=True))
    edges = [*zip(names, names[1:], strict=False), *more.get("edges", ())]
    return nir.NIRGraph(graph, edges, type_check=False)


def rich_graph():
    """All that is read, but graphs in graphs and pooling."""
    rng = np.random.default_rng(4)
    v_leak = rng.uniform(0, 0.2, 12)
    conv = nir.Conv2d(
        input_shape=(5, 5),
        weight=rng.normal(0.3, 0.5, (3, 2, 3, 3)),
        stride=2,
        padding=1,
        dilation=1,
        groups=1,
        bias=np.array([0.0, 0.05, 0.1]),
    )
    hidden = nir.IF(
        r=full((3, 3, 3), 1e3),
        v_threshold=full((3, 3, 3), 2.0),
        v_reset=full((3, 3, 3), -0.3),
    )
    currents = nir.CubaLIF(
        tau_syn=rng.uniform(3e-3, 6e-3, 12),
        tau_mem=rng.uniform(10e-3, 20e-3, 12),
        r=full(12, 8.0),
        v_leak=v_leak,
        v_threshold=full(12, 1.2),
        v_reset=v_leak - 0.5,
        w_in=full(12, 4.0),
    )
    nodes = {
        "1 in": nir.Input({"input": np.array([2, 5, 5])}),
        "conv": conv,
        "hidden": hidden,
        "flat": nir.Flatten({"input": np.array([3, 3, 3])}, start_dim=0),
        "before": nir.Delay(delay=np.repeat([0.0, 0.002, 0.003], 9)),
        "dense": nir.Affine(weight=rng.normal(0.2, 0.5, (12, 27)), bias=full(12, 0.02)),
        "after": nir.Delay(delay=np.repeat([0.0, 0.001], 6)),
        "currents": currents,
        "scaled": nir.Scale(scale=rng.uniform(0.5, 1.5, 12)),
        "own": nir.Linear(weight=rng.normal(0, 0.3, (12, 12))),
        "mixed": nir.Linear(weight=rng.normal(0.4, 0.4, (4, 12))),
        "last": lif(4, v_reset=0.2),
        "same": lif(4, r=30.0),
        "trace": nir.LI(tau=full(4, 0.02), r=full(4, 5.0), v_leak=full(4, 1.0)),
    }
    nodes |= {
        "out": nir.Output({"output": np.array([4])}),
        "out2": nir.Output({"output": np.array([4])}),
    }
    ways = (
        ["1 in", "conv", "hidden", "flat", "before", "dense", "after", "currents"],
        ["currents", "scaled", "own", "currents"],
        ["currents", "mixed", "last", "same", "out"],
        ["last", "trace", "out2"],
    )
    edges = [edge for way in ways for edge in zip(way, way[1:], strict=False)]
    return nir.NIRGraph(nodes, edges)


@pytest.fixture(scope="module")
def rich(tmp_path_factory):
    path = tmp_path_factory.mktemp("nir") / "theirs.nir"
    nir.write(path, rich_graph())
    return nir.read(path), read_nir(path, **TIMES)


def test_populations_and_connections_follow_the_edges(rich):
    _, (network, weights) = rich
    sizes = {part.name: part.size for part in network.populations}
    assert sizes == {
        **{"n1_in": 50, "hidden": 27, "currents": 12, "last": 4, "same": 4},
        "trace": 4,
    }
    assert network.named["trace"].record == ("v",)
    assert set(weights) == {
        *("n1_in->hidden", "hidden->currents", "currents->currents"),
        *("currents->last", "last->same", "last->trace"),
    }
    assert weights["n1_in->hidden"].shape == (3 * 2 * 3 * 3,)  # shared, as in conv
    kinds = {c.name: c.delay_of for c in network.connections}
    assert kinds["hidden->currents"] == "synapse"
    assert kinds["currents->currents"] == "connection"


@pytest.mark.cpp
def test_spikes_are_those_of_the_documented_equations(rich):
    graph, (network, weights) = rich
    dense = draw_inputs(network, rate=30)
    found = run(network, weights, dense)
    n_spikes = {name: spikes.sum() for name, spikes in found.items()}
    assert min(n_spikes.values()) > 20, n_spikes
    for m in range(len(dense["n1_in"])):
        expected = spikes_of(graph, {"1 in": dense["n1_in"][m]}, 1e-3)
        for name, spikes in found.items():
            assert np.array_equal(spikes[m], expected[name]), name


def test_what_was_read_goes_out_again(rich):
    """By values, apart from biases, which become part of what is there at rest."""
    _, (network, weights) = rich
    with pytest.raises(
        ValueError, match="'currents' is none of NIR's.*more than decay"
    ):
        to_nir(network, weights)
    graph = chain(nir.Affine(np.ones((2, 3)), full(2, 0.01)), lif(2, v_leak=0))
    network, weights = from_nir(graph, **TIMES)
    node = to_nir(network, weights).nodes["n1"]
    assert node.v_leak == pytest.approx([10 * 0.01] * 2)
    assert node.r == pytest.approx([10.0] * 2)


def test_graphs_in_graphs_are_read_as_one():
    """As snnTorch writes recurrent layers."""
    inner = nir.NIRGraph(
        {
            "input": nir.Input({"input": np.array([2])}),
            "lif": lif(2),
            "w_rec": nir.Linear(np.array([[0.0, 1.0], [2.0, 0.0]])),
            "output": nir.Output({"output": np.array([2])}),
        },
        [("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")],
    )
    weight = np.arange(6.0).reshape(2, 3)
    nodes = {
        "in": nir.Input({"input": np.array([3])}),
        "w": nir.Linear(weight),
        "rnn": inner,
        "w2": nir.Linear(np.ones((1, 2))),
        "last": lif(1),
        "out": nir.Output({"output": np.array([1])}),
    }
    graph = nir.NIRGraph(nodes, list(zip(nodes, list(nodes)[1:], strict=False)))
    network, weights = from_nir(graph, **TIMES)
    assert [p.name for p in network.groups] == ["rnn_lif", "last"] or [
        p.name for p in network.groups
    ] == ["last", "rnn_lif"]
    assert np.array_equal(weights["in->rnn_lif"], weight.T)
    assert np.array_equal(weights["rnn_lif->rnn_lif"], [[0, 2], [1, 0]])
    assert np.array_equal(weights["rnn_lif->last"], [[1], [1]])


@pytest.mark.parametrize("mean", [False, True])
def test_pooling_adds_or_averages(mean):
    kind = nir.AvgPool2d if mean else nir.SumPool2d
    pool = kind(*(np.array([n, n]) for n in (2, 2, 0)))
    graph = chain(pool, lif((1, 2, 2)), size=(1, 4, 4))
    pool.input_type = {"input": np.array([1, 4, 4])}
    network, weights = from_nir(graph, **TIMES)
    matrix = np.zeros((16, 4))
    pattern = network.connections[0].pattern
    matrix[pattern.i, pattern.j] = weights["in->n1"][pattern.weight]
    square = np.arange(16).reshape(4, 4)
    for j, corner in enumerate([(0, 0), (0, 2), (2, 0), (2, 2)]):
        inside = square[corner[0] :, corner[1] :][:2, :2].ravel()
        assert matrix[inside, j].tolist() == [0.25 if mean else 1.0] * 4
    assert (matrix != 0).sum() == 16


def test_products_of_matrices_are_one_connection():
    first, second = np.arange(6.0).reshape(2, 3), np.array([[1.0, -1.0], [2.0, 0.5]])
    graph = chain(nir.Linear(first), nir.Affine(second, full(2, 0.1)), cuba(2))
    network, weights = from_nir(graph, **TIMES)
    assert weights["in->n2"] == pytest.approx((second @ first).T)
    assert network.groups[0].neuron.values["bias"] == 0.1


def test_equal_time_constants_are_integrated():
    network, _ = from_nir(chain(cuba(3, tau_mem=0.005)), **TIMES)
    assert network.groups[0].neuron.method == "rk4"
    network, _ = from_nir(chain(cuba(3)), **TIMES)
    assert network.groups[0].neuron.method == "exact"


CONV = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "bias": np.zeros(1)}


def conv(**changes):
    given = {"input_shape": (3, 3), "weight": np.ones((1, 1, 2, 2)), **CONV}
    return nir.Conv2d(**{**given, **changes})


@pytest.mark.parametrize(
    ("graph", "words"),
    [
        (chain(nir.Threshold(full(3, 1)), lif(3)), "node 'n0' is a Threshold, which a"),
        (
            chain(nir.Conv1d(3, np.ones((1, 1, 1)), 1, 0, 1, 1, np.zeros(1)), lif(3)),
            "node 'n0' is a Conv1d, which a network here cannot do; write it as Linear",
        ),
        (
            chain(nir.LI(full(3, 0.01), full(3, 1), full(3, 0)), lif(3)),
            "node 'n0' is a LI, which never fires, but drives 'n1'",
        ),
        (chain(lif(3), nir.Linear(np.ones((2, 3)))), "'n1' is a Linear, and leads to"),
        (
            chain(nir.Linear(np.ones((2, 4))), lif(2)),
            r"'n0' must have a weight of shap",
        ),
        (
            chain(nir.Linear(np.ones((2, 3))), lif(4)),
            "'n1' has 4 neurons, but 2 inputs",
        ),
        (chain(nir.Scale(full(2, 1)), lif(3)), "'n0' must have 3 values, got 2"),
        (chain(nir.Delay(full(3, -1)), lif(3)), "'n0' has a delay that is negative"),
        (
            chain(
                *(nir.Linear(np.ones((3, 3))), nir.Delay(full(3, 0.001))),
                *(nir.Linear(np.ones((3, 3))), lif(3)),
            ),
            "node 'n2' mixes what comes through a Delay",
        ),
        (chain(lif(3, tau=0)), "'n0' has 'tau' that are not positive"),
        (chain(lif(3, r=np.nan)), "'n0' has 'r' that are not finite"),
        (chain(lif(3), edges=[("n0", "gone")]), "an edge to 'gone', which is no node"),
        (chain(lif(3), edges=[("n0", "in")]), "'n0' to 'in' leads into an Input"),
        (
            chain(
                *(nir.Scale(full(3, 1)), nir.Scale(full(3, 1)), lif(3)),
                edges=[("n1", "n0")],
            ),
            "a circle through .* without a neuron",
        ),
        (chain(conv(groups=2), lif((1, 2, 2)), size=9), "'n0' has dilation or groups"),
        (
            chain(conv(stride=(1, 2)), lif((1, 2, 2)), size=9),
            "'n0' has stride .1, 2., and needs the same number",
        ),
        (chain(conv(), lif((1, 2, 2)), size=8), "'n0' takes .1, 3, 3., but 8 neurons"),
        (chain(conv(input_shape=None), lif(4), size=9), "'n0' does not say the shape"),
        (
            chain(conv(weight=np.ones((1, 1, 2, 1))), lif(4), size=9),
            "'n0' must have square kernels",
        ),
        (
            chain(nir.SumPool2d(*(np.array([2, 2]),) * 3), lif(3)),
            "'n0' does not say the shape",
        ),
        (
            chain(nir.Linear(np.full((2, 3), np.inf)), lif(2)),
            "weights from 'in' to 'n1'",
        ),
        (
            chain(nir.Affine(np.ones((2, 3)), np.array([0, np.nan])), lif(2)),
            "weights from 'in' to 'n1'",
        ),
        (chain(lif(0), size=0), "node 'in' has no neurons"),
    ],
)
def test_what_a_network_cannot_do_is_refused_by_the_name_of_the_node(graph, words):
    with pytest.raises(ValueError, match=words):
        from_nir(graph, **TIMES)


def test_time_step_and_duration_must_be_told():
    for missing in ("dt", "duration"):
        given = {name: time for name, time in TIMES.items() if name != missing}
        with pytest.raises(ValueError, match=f"'{missing}' must be given for a graph"):
            from_nir(chain(lif(3)), **given)


# --- files ----------------------------------------------------------------------------


def test_files_that_are_none_of_nir_are_refused(tmp_path):
    path = tmp_path / "a.nir"
    with pytest.raises(DataError, match="must be a readable file, got: No such file"):
        read_nir(path, **TIMES)
    path.write_bytes(b"no HDF5 at all" * 100)
    with pytest.raises(DataError, match="must be an intact HDF5 file, got: "):
        read_nir(path, **TIMES)
    with h5py.File(path, "w") as file:
        file["spikes"] = np.ones(3)
    with pytest.raises(DataError, match="must hold a group 'node', got spikes"):
        read_nir(path, **TIMES)
    nir.write(path, lif(3))
    with pytest.raises(DataError, match="must hold a graph of NIR, got a single node"):
        read_nir(path, **TIMES)
    graph = chain(lif(3))
    nir.write(path, graph)
    with h5py.File(path, "a") as file:
        del file["node/nodes/n0/tau"]
    with pytest.raises(
        DataError, match="must be a graph of NIR, but it cannot be read"
    ):
        read_nir(path, **TIMES)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda file, folder: file.__setitem__(
                "node/x", h5py.ExternalLink(str(folder / "other.h5"), "/data")
            ),
            "must hold 'x' itself, not a link to elsewhere",
        ),
        (
            lambda file, folder: file.create_dataset(
                "node/x", (8,), "u1", external=[(str(folder / "secret"), 0, 8)]
            ),
            "must hold '/node/x' itself, as numbers or text",
        ),
        (
            lambda file, folder: file.create_dataset(
                "node/x", (1 << 40,), "f8", chunks=True, compression="gzip"
            ),
            "must not hold more than 2048 MiB",
        ),
        (
            lambda file, folder: file["node/nodes/n0/type"].__setitem__((), "dict"),
            "must hold nodes of NIR, got 'dict'",
        ),
        (
            lambda file, folder: file.create_group("node/" + "x/" * 20),
            "must not nest groups deeper than 16",
        ),
        (
            lambda file, folder: file.create_dataset(
                "node/x", data=np.zeros(2, [("a", "i4")])
            ),
            "must hold '/node/x' as numbers or text, got ",
        ),
    ],
)
def test_files_that_lead_elsewhere_or_claim_too_much_are_refused(
    tmp_path, change, words
):
    path = tmp_path / "a.nir"
    nir.write(path, chain(lif(3)))
    (tmp_path / "secret").write_bytes(bytes(8))
    with h5py.File(path, "a") as file:
        change(file, tmp_path)
    with pytest.raises(DataError, match=words):
        read_nir(path, **TIMES)


def test_a_file_that_cannot_be_written_is_told(tmp_path):
    network, weights = from_nir(chain(lif(3)), **TIMES)
    with pytest.raises(RunFolderError, match="a.nir cannot be written"):
        write_nir(tmp_path / "gone" / "a.nir", network, weights)


def test_nothing_of_nir_is_loaded_before_it_is_used():
    code = "import bsnn, sys; bsnn.interchange; print([n for n in sys.modules if n in "
    code += "('nir', 'neo', 'h5py', 'pynwb', 'brian2')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
