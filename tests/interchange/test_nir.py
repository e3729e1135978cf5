"""Networks as graphs of NIR, beside an interpreter that follows NIR's equations."""

import json
import sys

import nir
import numpy as np
import pytest
from brian2.units import Hz, ms, mV, ohm, second
from hypothesis import given, settings
from hypothesis import strategies as st

import bsnn
from bsnn import Connection, Inputs, Network, Neuron, Population, Spikes
from bsnn.equations.leaky import leaky
from bsnn.equations.models import adex, alif, cuba, lif, qif
from bsnn.errors import BackendUnavailable
from bsnn.interchange import from_nir, read_nir, to_nir, write_nir
from bsnn.simulators.network import NetworkSimulator
from tests.oracles.nir import spikes_of
from tests.strategies import tau_pairs

DT, DURATION, N_SAMPLES = 0.5 * ms, 60 * ms, 3


def run(network, weights, dense):
    """Return the spikes of each population, (n_samples, n_steps, n_neurons)."""
    arrays = [weights[c.name] for c in network.connections]
    inputs = {n: Spikes.from_dense(x, dt=network.dt) for n, x in dense.items()}
    with NetworkSimulator(network, workers=1, precision="double") as simulator:
        found = simulator.run(arrays, inputs).spikes
    return {name: dense_of(spikes, network.n_steps) for name, spikes in found.items()}


def dense_of(spikes, n_steps):
    dense = np.zeros((spikes.n_samples, n_steps, spikes.n_neurons), bool)
    dense[spikes.sample, spikes.step, spikes.neuron] = True
    return dense


def draw_inputs(network, rate=120, seed=1):
    rng = np.random.default_rng(seed)
    return {
        part.name: rng.random((N_SAMPLES, network.n_steps, part.size))
        < rate * network.dt_seconds
        for part in network.inputs
    }


def draw_weights(network, seed=0, mean=0.3, dtype=float):
    rng = np.random.default_rng(seed)
    shapes = zip(network.connections, network.weight_shapes, strict=True)
    return {c.name: rng.normal(mean, 1.0, s).astype(dtype) for c, s in shapes}


def rich_network():
    """Return neurons of several kinds, with delays, recurrence and a pattern."""
    volts = Neuron(
        """
        dU/dt = (E_L - U + R*J)/tau : volt
        dJ/dt = -J/tau_J            : amp
        tau : second (constant)
        """,
        threshold="U > V_t",
        reset="U = V_r",
        parameters={
            "tau": [8, 9, 10, 11, 12, 13] * ms,
            "tau_J": 4 * ms,
            "E_L": -70 * mV,
            "V_t": -55 * mV,
            "V_r": -75 * mV,
            "R": 1e7 * ohm,
        },
        initial={"U": -70 * mV},
    )
    soft = cuba(tau_mem=20 * ms, tau_syn=7 * ms)
    plain = Neuron("du/dt = -u/T : 1", "3*u > 3", "u = 0.1", parameters={"T": 15 * ms})
    reader = Neuron("dx/dt = (2 - x)/T : 1", parameters={"T": 15 * ms})
    pairs = bsnn.patterns.random_pairs(6, 5, 0.5, seed=3)
    return Network(
        [
            Inputs("ear", 9),
            Population("volts", 6, volts),
            Population("soft", 5, soft),
            Population("plain", 4, plain),
            Population("reader", 2, reader, record=["x"]),
        ],
        [
            Connection("ear", "volts", on_pre="J += 2*w*nA"),
            Connection("volts", "soft", on_pre="i_syn += w*400*Hz", pattern=pairs),
            Connection("soft", "soft", on_pre="i_syn += w*200*Hz", delay=2 * ms),
            Connection(
                "volts", "plain", on_pre="u += w", delay=np.arange(6)[:, None] * ms
            ),
            Connection("soft", "plain", on_pre="u += w"),
            Connection("plain", "reader", on_pre="x += w/2", name="out/of: plain"),
        ],
        dt=DT,
        duration=DURATION,
    )


@pytest.fixture(scope="module")
def rich():
    network = rich_network()
    weights = draw_weights(network)
    return network, weights, to_nir(network, weights)


# --- export ---------------------------------------------------------------------------


def test_the_kinds_of_nodes_follow_the_algebra(rich):
    _, _, graph = rich
    kinds = {name: type(node).__name__ for name, node in graph.nodes.items()}
    assert kinds["volts"] == kinds["soft"] == "CubaLIF"
    assert (kinds["plain"], kinds["reader"]) == ("LIF", "LI")
    assert kinds["ear_to_volts"] == "Linear"
    assert kinds["soft_to_soft_delay"] == kinds["volts_to_plain_delay"] == "Delay"
    assert kinds["soft_to_soft_scale"] == "Scale"  # half of what volts->soft does
    assert graph.nodes["soft_to_soft_scale"].scale == pytest.approx([0.5] * 5)
    assert ("out_of__plain", "reader") in graph.edges
    assert ("reader", "reader_output") in graph.edges
    assert len(graph.outputs) == len(graph.inputs) == 1


def test_parameters_are_those_of_the_equations(rich):
    _, weights, graph = rich
    volts = graph.nodes["volts"]
    assert volts.tau_mem == pytest.approx(np.arange(8, 14) * 1e-3, rel=1e-12)
    assert volts.v_leak == pytest.approx([-0.07] * 6, rel=1e-12)
    assert volts.v_threshold == pytest.approx([-0.055] * 6, rel=1e-12)
    assert volts.v_reset == pytest.approx([-0.075] * 6, rel=1e-12)
    # A spike of weight 1 adds 2 nA, which hold U 20 mV above E_L.
    jump = volts.w_in * 0.5e-3 / volts.tau_syn * volts.r
    assert jump == pytest.approx([20e-3] * 6, rel=1e-12)
    assert np.array_equal(graph.nodes["ear_to_volts"].weight, weights["ear->volts"].T)
    assert graph.nodes["plain"].v_threshold == pytest.approx([1.0] * 4)
    assert graph.nodes["volts_to_plain_delay"].delay == pytest.approx(
        np.arange(6) * 1e-3
    )


def test_what_nir_cannot_say_is_in_plain_words(rich):
    _, _, graph = rich
    assert graph.metadata["dt"] == 0.5e-3 and graph.metadata["time_unit"] == "s"
    assert graph.nodes["volts"].metadata["v_unit"] == "volt"
    assert "delta_v" not in graph.nodes["volts"].metadata
    soft = graph.nodes["soft"]
    assert soft.metadata["delta_v"].tolist() == [1.0] * 5
    assert soft.metadata["reset"] == "v -= delta_v"
    assert soft.v_reset.tolist() == [0.0] * 5
    assert graph.nodes["out_of__plain"].metadata["weight_unit"] == "1"


@pytest.mark.cpp
def test_an_interpreter_of_the_graph_fires_the_same_spikes(rich, tmp_path):
    network, weights, _ = rich
    write_nir(tmp_path / "rich.nir", network, weights)
    graph = nir.read(tmp_path / "rich.nir")
    dense = draw_inputs(network)
    found = run(network, weights, dense)
    n_spikes = {name: spikes.sum() for name, spikes in found.items()}
    assert min(n_spikes.values()) > 20, n_spikes
    for m in range(N_SAMPLES):
        expected = spikes_of(
            graph, {n: x[m] for n, x in dense.items()}, 0.5e-3, soft=["soft"]
        )
        for name, spikes in found.items():
            assert np.array_equal(spikes[m], expected[name]), name


def images(connections):
    """Return two layers of images, and a last one in a row."""
    cell = neuron()
    populations = [Inputs("in", 2 * 6 * 5), Population("a", 3 * 3 * 3, cell)]
    populations += [Population("b", 4 * 2 * 2, cell), Population("c", 5, cell)]
    return Network(populations, connections, dt=1 * ms, duration=20 * ms)


def convolved(*ends, on_pre="i_syn += w", **options):
    pattern = bsnn.patterns.convolution(*options.pop("of"), **options.pop("by"))
    return Connection(*ends, on_pre=on_pre, pattern=pattern, **options)


FIRST = {"of": ((2, 6, 5), 3, 3), "by": {"stride": 2, "padding": 1}}
SECOND = {"of": ((3, 3, 3), 4, 2), "by": {}}


def test_convolutions_are_recognised_by_their_pairs(tmp_path):
    network = images(
        [
            convolved("in", "a", **FIRST),
            convolved("a", "b", delay=2 * ms, on_pre="i_syn += w/2", **SECOND),
            Connection("b", "c", on_pre="i_syn += w"),
        ]
    )
    weights = draw_weights(network, dtype=np.float32)
    write_nir(tmp_path / "a.nir", network, weights)
    graph = nir.read(tmp_path / "a.nir")
    node = graph.nodes["in_to_a"]
    assert (type(node), tuple(node.input_shape)) == (nir.Conv2d, (6, 5))
    assert (tuple(node.stride), tuple(node.padding)) == ((2, 2), (1, 1))
    assert np.array_equal(node.weight.ravel(), weights["in->a"])
    assert graph.nodes["a"].v_threshold.shape == (3, 3, 3)
    assert graph.nodes["a_to_b_delay"].delay.shape == (3, 3, 3)
    assert isinstance(graph.nodes["b_to_c_flat"], nir.Flatten)
    again, found = read_nir(tmp_path / "a.nir")
    assert again.to_dict() == network.to_dict()
    assert all(np.array_equal(found[n], w) for n, w in weights.items())
    graph.metadata.clear()
    other, plain = from_nir(graph, dt=1 * ms, duration=20 * ms)
    for name, weight in weights.items():
        assert np.array_equal(plain[name], weight)
        pattern, theirs = (
            next(c.pattern for c in n.connections if c.name == name)
            for n in (network, other)
        )
        assert pattern is theirs is None or pattern.to_dict() == theirs.to_dict()


def test_what_is_reached_otherwise_is_no_image():
    network = images(
        [
            convolved("in", "a", **FIRST),
            convolved("a", "b", **SECOND),
            Connection("b", "b", on_pre="i_syn += w"),
        ]
    )
    weights = draw_weights(network)
    graph = to_nir(network, weights)
    kinds = [type(graph.nodes[n]).__name__ for n in ("in_to_a", "a_to_b", "b_to_b")]
    assert kinds == ["Conv2d", "Linear", "Linear"]
    again, found = from_nir(graph)
    assert np.array_equal(found["a->b"], weights["a->b"])
    pattern = bsnn.patterns.convolution(*FIRST["of"], **FIRST["by"])
    other = bsnn.Pattern(pattern.i, pattern.j, pattern.weight[::-1])  # none of torch's
    network = images([Connection("in", "a", on_pre="i_syn += w", pattern=other)])
    graph = to_nir(network, draw_weights(network))
    assert isinstance(graph.nodes["in_to_a"], nir.Linear)


# --- round trip -----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_file_gives_the_same_network_and_weights(tmp_path, dtype):
    network = rich_network()
    weights = draw_weights(network, dtype=dtype)
    write_nir(tmp_path / "rich.nir", network, weights)
    again, found = read_nir(tmp_path / "rich.nir")
    assert again.to_dict() == network.to_dict()
    assert set(found) == set(weights)
    for name, weight in weights.items():
        assert found[name].dtype == dtype
        assert np.array_equal(found[name], weight), name


@settings(max_examples=25)
@given(
    taus=tau_pairs(),
    hard=st.booleans(),
    names=st.permutations(["v", "u", "I", "g_e"]),
    sizes=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    delay=st.sampled_from([0, 1, 3]),
    dtype=st.sampled_from([np.float32, np.float64]),
    seed=st.integers(0, 99),
)
def test_a_graph_gives_the_same_network(taus, hard, names, sizes, delay, dtype, seed):
    v, i, *_ = names
    neuron = Neuron(
        f"d{v}/dt = {i} - {v}/tau_1 : 1\nd{i}/dt = -{i}/tau_2 : Hz",
        f"{v} > 0.5",
        f"{v} = 0.1" if hard else f"{v} -= 0.5",
        parameters={"tau_1": taus[0] * second, "tau_2": taus[1] * second},
    )
    network = Network(
        [Inputs("a", sizes[0]), Population("b", sizes[1], neuron)],
        [
            Connection("a", "b", on_pre=f"{i} += w", delay=delay * ms),
            Connection("b", "b", on_pre=f"{i} += w"),
        ],
        dt=1 * ms,
        duration=20 * ms,
    )
    weights = draw_weights(network, seed, dtype=dtype)
    graph = to_nir(network, weights)
    node = graph.nodes["b"]
    assert node.tau_mem == pytest.approx([taus[0]] * sizes[1], rel=1e-12)
    assert node.tau_syn == pytest.approx([taus[1]] * sizes[1], rel=1e-12)
    again, found = from_nir(graph)
    assert again.to_dict() == network.to_dict()
    assert all(np.array_equal(found[n], w) for n, w in weights.items())
    # The nodes alone say the same: they become the same nodes again.
    graph.metadata.clear()
    other, plain = from_nir(graph, dt=1 * ms, duration=20 * ms)
    second_graph = to_nir(other, plain)
    for name, value in vars(node).items():
        if isinstance(value, np.ndarray):
            assert vars(second_graph.nodes["b"])[name] == pytest.approx(value, rel=1e-9)


def test_a_model_is_the_network_that_it_is():
    model = bsnn.Model.dense(
        [4, 3, 2],
        v_threshold=[0.2, 1.3],
        tau_syn=5 * ms,
        tau_mem=10 * ms,
        dt=1 * ms,
        duration=30 * ms,
    )
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=s).astype(np.float32) for s in model.weight_shapes]
    graph = to_nir(model, weights)
    hidden = graph.nodes["layer_1"]
    assert hidden.tau_syn.tolist() == [0.005] * 3
    assert hidden.metadata["delta_v"].tolist() == [0.2] * 3
    assert graph.nodes["layer_2"].v_threshold.tolist() == [1.3] * 2
    network, found = from_nir(graph)
    assert (network.n_inputs, [p.size for p in network.groups]) == (4, [3, 2])
    assert network.groups[1].neuron.values["delta_v"] == 1.3
    for array, other in zip(weights, found.values(), strict=True):
        assert np.array_equal(array, other)
    with pytest.raises(ValueError, match="must have the rule 'grid'.*got 'continuous'"):
        to_nir(model.with_dt(0 * ms), weights)
    with pytest.raises(ValueError, match="one array for each of 2 layers, got 1"):
        to_nir(model, weights[:1])


def test_weights_that_another_library_trained_are_taken(rich):
    network, weights, _ = rich
    graph = to_nir(network, weights)
    graph.nodes["ear_to_volts"].weight = graph.nodes["ear_to_volts"].weight + 1
    for node in graph.nodes.values():  # as single precision rounds
        for name, value in vars(node).items():
            if isinstance(value, np.ndarray) and value.dtype == float:
                setattr(node, name, value.astype(np.float32))
    again, found = from_nir(graph)
    assert again.to_dict() == network.to_dict()
    expected = (weights["ear->volts"] + 1).astype(np.float32)
    assert np.array_equal(found["ear->volts"], expected)


def test_a_network_of_ours_is_returned_at_another_time_step(rich):
    network, weights, graph = rich
    again, _ = from_nir(graph, dt=1 * ms)
    assert again.dt_seconds == 1e-3 and again.duration_seconds == 60e-3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda g: g.nodes["soft"].tau_mem.__imul__(1.1), "'tau_mem' of 'soft' is"),
        (lambda g: g.edges.remove(("soft", "soft_to_plain")), "its edges are others"),
        (
            lambda g: g.nodes["volts_to_soft"].weight.__iadd__(1),
            "'weight' of 'volts_to_soft' is another",
        ),
        (lambda g: g.metadata.update(bsnn_network="[]"), "describe no network"),
        (lambda g: g.metadata.update(bsnn_network="[" * 99_999), "describe no network"),
        (lambda g: g.metadata.update(bsnn_network=np.ones(3)), "describe no network"),
        (lambda g: g.metadata.update(bsnn_format=2), "of format 2, which this version"),
        (lambda g: g.nodes.pop("ear"), "describe no network"),
    ],
)
def test_metadata_of_another_network_are_refused(rich, change, words):
    network, weights, _ = rich
    graph = to_nir(network, weights)
    change(graph)
    with pytest.raises(ValueError, match=f"{words}.*remove 'bsnn_network' from its"):
        from_nir(graph)


def test_sizes_in_the_metadata_reserve_nothing(rich):
    network, weights, graph = rich
    values = json.loads(graph.metadata["bsnn_network"])
    values["populations"][2]["size"] = 10**12
    graph = to_nir(network, weights)
    graph.metadata["bsnn_network"] = json.dumps(values)
    with pytest.raises(ValueError, match="describe no network.*'soft' has 5 neurons"):
        from_nir(graph)


# --- refusals of the export -----------------------------------------------------------


def small(neuron, on_pre="i_syn += w", **changes):
    connection = {"on_pre": on_pre, **changes}
    return Network(
        [Inputs("ear", 2), Population("cells", 3, neuron)],
        [Connection("ear", "cells", **connection)],
        dt=1 * ms,
        duration=20 * ms,
    )


CURRENT = "dv/dt = (-v + i_syn)/tau_m : 1\ndi_syn/dt = -i_syn/tau_s : 1"
TAUS = {"tau_m": 20 * ms, "tau_s": 5 * ms}


def neuron(equations=CURRENT, threshold="v > 1", reset="v = 0", **options):
    options = {"parameters": TAUS, **options}
    return Neuron(equations, threshold, reset, **options)


@pytest.mark.parametrize(
    ("make", "on_pre", "words"),
    [
        (adex, "g_e += w*nS", "'cells' is none of NIR's neurons .*has 3 variables"),
        (alif, "i_syn += w", r"has 3 variables \(v, i_syn, a\)"),
        (qif, "i_syn += w", "is not linear: dv/dt = "),
        (lif, "i_syn += w", "'cells' has a refractory period, .* make it 0"),
    ],
)
def test_neurons_that_nir_does_not_know_are_refused(make, on_pre, words):
    network = small(make(), on_pre)
    with pytest.raises(ValueError, match=words):
        to_nir(network, draw_weights(network))


def equations(old, new):
    return {"equations": CURRENT.replace(old, new)}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {**equations("-v +", "I(t) - v +"), "currents": {"I": 1}},
            "receives the current 'I'",
        ),
        (
            {**equations(": 1\nd", "+ xi/second**0.5 : 1\nd"), "method": "euler"},
            "has noise",
        ),
        (equations("/tau_s", "/tau_s + v/tau_m"), "has no variable among v, i_syn"),
        (equations("-i_syn", "(1-i_syn)"), "does more than decay"),
        (equations("-v +", "v +"), "a variable 'v' that grows by itself"),
        ({**equations("(-v +", "("), "method": "euler"}, "'v' without leak"),
        ({"threshold": "v + i_syn > 1"}, "has i_syn in its threshold"),
        ({"threshold": "-v > 1"}, "fires where 'v' is below"),
        ({"threshold": "v**2 > 1"}, "a threshold that is not linear in 'v'"),
        ({"reset": "v = 0; i_syn = 0"}, "resets 'i_syn'"),
        ({"reset": "v *= 0.5"}, "the reset .*, which neither sets 'v' nor"),
        ({"reset": ""}, "the reset '', which neither sets 'v' nor"),
        ({"reset": "v = sqrt(v)"}, "a reset that is not linear in 'v'"),
        ({"initial": {"v": 0.3}}, "'cells' begins with 'v' neither at rest"),
    ],
)
def test_equations_that_nir_does_not_know_are_refused(changes, words):
    network = small(neuron(**changes))
    with pytest.raises(ValueError, match=words):
        to_nir(network, draw_weights(network))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"on_pre": "v += w"}, "'ear->cells' is none of NIR's.*'i_syn' alone"),
        ({"on_pre": "v += w; i_syn += w"}, "adds to v, i_syn, and NIR's"),
        ({"on_pre": "i_syn += w + 1"}, "not proportional to the weight"),
        ({"on_pre": "i_syn += w**2"}, "not proportional to the weight"),
        ({"delay": np.ones((2, 3)) * ms}, "'ear->cells' has a delay for each synapse"),
    ],
)
def test_connections_that_nir_does_not_know_are_refused(changes, words):
    network = small(neuron(), **changes)
    with pytest.raises(ValueError, match=words):
        to_nir(network, draw_weights(network))


def test_a_network_without_inputs_is_refused():
    alone = Population("cells", 3, neuron())
    with pytest.raises(ValueError, match="'network' has no Inputs"):
        to_nir(Network([alone], [], dt=1 * ms, duration=9 * ms), {})


def test_a_refractory_period_is_kept_where_that_is_asked_for():
    network = small(lif(refractory=3 * ms))
    weights = draw_weights(network)
    graph = to_nir(network, weights, refractory="metadata")
    assert graph.nodes["cells"].metadata["refractory"] == "3. ms"
    again, _ = from_nir(graph)
    assert again.to_dict() == network.to_dict()
    to_nir(small(lif(refractory=0 * ms)), weights)  # the same as none
    with pytest.raises(ValueError, match="'refractory' must be one of refuse, metad"):
        to_nir(network, weights, refractory="ignore")


@pytest.mark.parametrize(
    ("weights", "error", "words"),
    [
        ([1], TypeError, "'weights' must be a dict by connection, got list"),
        ({"x": 1}, ValueError, "'weights' must name ear->cells, got x"),
        (np.ones((3, 2)), ValueError, r"must have shape \(2, 3\), got \(3, 2\)"),
        (np.full((2, 3), np.nan), ValueError, "of 'ear->cells'' must be finite"),
        (np.ones((2, 3)) * Hz, TypeError, "'weights of 'ear->cells'' must be in"),
    ],
)
def test_weights_that_do_not_fit_are_refused(weights, error, words):
    if isinstance(weights, np.ndarray):
        weights = {"ear->cells": weights}
    with pytest.raises(error, match=words):
        to_nir(small(neuron()), weights)


def test_a_pattern_too_large_for_a_matrix_is_refused():
    n = 20_000
    network = Network(
        [Inputs("ear", n), Population("cells", n, neuron())],
        [
            Connection(
                "ear",
                "cells",
                on_pre="i_syn += w",
                pattern=bsnn.patterns.one_to_one(n),
            )
        ],
        dt=1 * ms,
        duration=20 * ms,
    )
    with pytest.raises(
        ValueError, match="'ear->cells' needs a weight matrix of 20000 x"
    ):
        to_nir(network, {"ear->cells": np.ones(n)})


def test_without_the_package_the_remedy_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "nir", None)
    with pytest.raises(BackendUnavailable, match=r"pip install 'bsnn\[nir\]'"):
        to_nir(small(neuron()), {})


@pytest.mark.parametrize("thing", [None, "a.nir", nir.Linear(np.ones((2, 2)))])
def test_only_networks_and_graphs_are_taken(thing):
    with pytest.raises(TypeError, match="'network' must be a Network or Model, got"):
        to_nir(thing, {})
    with pytest.raises(TypeError, match="'graph' must be a nir.NIRGraph, got"):
        from_nir(thing)


# --- the algebra ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "equations",
    [
        "dv/dt = (E - v)/T + k*I/T : 1\ndI/dt = -I/S : 1",
        "dv/dt = -(v - E - k*I)/T : 1\ndI/dt = -I*rate : 1\nrate = 1/S : Hz",
        "dI/dt = -I/S : 1\ndv/dt = x/T : 1\nx = E - v + k*I : 1",
        "dv/dt = (E - v + k*I)/(T/2 + T/2) : 1 (unless refractory)\ndI/dt = -I/S : 1",
    ],
)
def test_a_neuron_is_known_however_it_is_written(equations):
    given = {"T": 20 * ms, "S": 5 * ms, "E": 0.25, "k": 3.0}
    options = {"refractory": 2 * ms} if "unless" in equations else {}
    found = leaky(Neuron(equations, "2 < v", "v = -E", parameters=given, **options))
    assert (found.v, found.i) == ("v", "I")
    assert found.tau_mem == pytest.approx(0.02) and found.tau_syn == pytest.approx(5e-3)
    assert found.gain == pytest.approx(150) and found.v_leak == pytest.approx(0.25)
    assert (found.v_threshold, found.v_reset) == (2.0, -0.25)
