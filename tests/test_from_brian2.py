"""Brian2 objects as a network: what is read, and what is refused by name."""

import brian2 as b2
import numpy as np
import pytest
from brian2 import Hz, ms, mV

from bsnn import Network

LIF = """
dv/dt = (E - v + x*mV + g)/tau : volt (unless refractory)
dg/dt = -g/tau_g : volt
x : 1
"""
NAMES = {"E": -60 * mV, "tau": 20 * ms, "tau_g": 5 * ms, "V_t": -50 * mV}
NAMES |= {"jump": 2 * mV, "gain": 0.5}


@pytest.fixture(autouse=True)
def quick_brian2():
    before = b2.prefs.codegen.target, b2.defaultclock.dt
    b2.prefs.codegen.target, b2.defaultclock.dt = "numpy", 0.1 * ms
    yield
    b2.prefs.codegen.target, b2.defaultclock.dt = before


def make_cells(n=4, equations=LIF, **changes):
    texts = {"threshold": "v > V_t", "reset": "v = E", "refractory": 2 * ms}
    return b2.NeuronGroup(n, equations, **texts | {"name": "cells"} | changes)


def make_joined(source, target, *pairs, on_pre="g += w", model="w : volt", **more):
    synapses = b2.Synapses(
        source, target, model, on_pre=on_pre, **{"name": "joined"} | more
    )
    if pairs:
        i, j = zip(*pairs, strict=True)
        synapses.connect(i=i, j=j)
    else:
        synapses.connect()
    return synapses


def take(*objects, namespace=NAMES, duration=20 * ms):
    return Network.from_brian2(objects, duration=duration, namespace=namespace)


# What is read.


def test_a_group_with_its_constants_and_its_present_state():
    cells = make_cells()
    cells.v, cells.x = "-60*mV + i*mV", 3
    part = take(cells).network.named["cells"]
    neuron = part.neuron
    assert (part.size, neuron.method, neuron.reset) == (4, "exact", "v = E")
    assert neuron.values == {
        "E": -0.06,
        "tau": 0.02,
        "tau_g": 0.005,
        "V_t": -0.05,
        "x": 3.0,
        "refractory_period": 0.002,
    }
    assert neuron.states == ("v", "g")
    np.testing.assert_array_equal(neuron.initial_values["v"], cells.v / b2.volt)
    assert neuron.initial_values["g"] == 0


def test_the_method_that_brian2_chooses():
    bent = LIF.replace("+ g", "+ g**2/mV")
    assert take(make_cells(equations=bent)).network.groups[0].neuron.method == "euler"
    fixed = make_cells(name="others", method="RK4")
    assert take(fixed).network.groups[0].neuron.method == "rk4"


def test_a_parameter_that_a_spike_or_reset_changes_is_a_state():
    cells = make_cells(reset="v = E; x += 1")
    assert "x" in take(cells).network.groups[0].neuron.states
    cells = make_cells(name="others")
    cells.x = [1, 2, 3, 4]
    taken = take(cells, make_joined(cells, cells, on_pre="x += w", model="w : 1"))
    neuron = taken.network.groups[0].neuron
    assert "x" in neuron.states
    np.testing.assert_array_equal(neuron.initial_values["x"], [1, 2, 3, 4])


def test_a_namespace_of_the_group_comes_first_then_that_of_the_run():
    cells = make_cells(namespace={"E": -65 * mV})
    assert take(cells).network.groups[0].neuron.values["E"] == -0.065


def test_names_that_the_caller_sees():
    E, tau, tau_g, V_t = -61 * mV, 20 * ms, 5 * ms, -50 * mV  # noqa: F841
    taken = Network.from_brian2(make_cells(), duration=20 * ms)
    assert taken.network.groups[0].neuron.values["E"] == -0.061


def test_units_are_brian2s_even_if_a_namespace_says_otherwise():
    neuron = take(make_cells(), namespace={**NAMES, "mV": 7.0}).network.groups[0].neuron
    assert "mV" not in neuron.values


def test_all_pairs_in_order_are_dense_and_others_a_pattern():
    cells = make_cells()
    dense = make_joined(cells, cells)
    dense.w = "(i + 10*j)*mV"
    back = make_joined(cells, cells, (1, 0), (0, 3), name="back")
    back.w = [1, 2] * mV
    taken = take(cells, dense, back)
    one, two = taken.network.connections
    assert (one.name, one.source, two.pattern is None) == ("back", "cells", True)
    np.testing.assert_array_equal([one.pattern.i, one.pattern.j], [[1, 0], [0, 3]])
    np.testing.assert_array_equal(taken.weights["back"], [0.001, 0.002])
    i, j = np.indices((4, 4))
    np.testing.assert_allclose(taken.weights["joined"], 1e-3 * (i + 10 * j), rtol=1e-15)


def test_subgroups_are_counted_in_the_whole_group():
    cells = make_cells(6)
    joined = make_joined(cells[2:5], cells[3:], (0, 0), (2, 1))
    (connection,) = take(cells, joined).network.connections
    np.testing.assert_array_equal(connection.pattern.i, [2, 4])
    np.testing.assert_array_equal(connection.pattern.j, [3, 4])
    all_of_a_part = make_joined(cells[2:5], cells, name="part")
    (connection,) = take(cells, all_of_a_part).network.connections
    assert set(connection.pattern.i) == {2, 3, 4}


@pytest.mark.parametrize(
    ("given", "on_pre"),
    [
        ("g += w", "g += w"),
        ("g_post += J", "g += w"),
        ("v_post -= J; g += 2*J", "v += - w; g += 2 * w"),
        ("g += J*gain", "g += w * (0.5)"),
        ("g += J*x_post  # scaled", "g += w * x"),
        ("g += J*jump/mV", "g += (w * (0.002*volt)) / mV"),
        ("g += J*exp(-gain)\nv += jump", "g += w * exp(- (0.5)); v += (0.002*volt)"),
    ],
)
def test_on_pre_in_the_words_of_a_connection(given, on_pre):
    cells = make_cells()
    model = "w : volt" if "w" in given else "J : volt"
    joined = make_joined(cells, cells, on_pre=given, model=model)
    setattr(joined, model[0], 3 * mV)
    taken = take(cells, joined)
    assert taken.network.connections[0].on_pre == on_pre
    np.testing.assert_array_equal(taken.weights["joined"], np.full((4, 4), 0.003))


@pytest.mark.parametrize(
    ("on_pre", "text", "weight"),
    [
        ("g += jump", "g += w", 0.002),
        ("g += -jump*x", "g += (- w) * x", 0.002),
        ("g += 3*mV", "g += w", 0.003),
        ("g -= 3*mV", "g += w", -0.003),
        ("x += 0.25", "x += w", 0.25),
    ],
)
def test_a_constant_is_a_weight_that_all_pairs_share(on_pre, text, weight):
    cells = make_cells()
    taken = take(cells, make_joined(cells, cells, on_pre=on_pre, model=""))
    (connection,) = taken.network.connections
    assert (connection.on_pre, connection.pattern.n_weights) == (text, 1)
    assert len(connection.pattern.i) == 16
    np.testing.assert_array_equal(taken.weights["joined"], [weight])


def test_a_shared_variable_is_one_weight():
    cells = make_cells()
    joined = make_joined(cells, cells, model="w : volt (shared)")
    joined.w = 4 * mV
    taken = take(cells, joined)
    assert taken.network.connections[0].pattern.n_weights == 1
    np.testing.assert_array_equal(taken.weights["joined"], [0.004])


def test_delays_that_are_alike_are_one():
    cells = make_cells()
    given = make_joined(cells, cells, delay=1.5 * ms)
    set_ = make_joined(cells, cells, name="set")
    set_.delay = 2 * ms
    one, two = take(cells, given, set_).network.connections
    assert (one.delay, two.delay) == (1.5 * ms, 2 * ms)


def test_delays_that_differ_are_in_the_order_of_the_pairs():
    cells = make_cells()
    dense = make_joined(cells, cells)
    dense.delay = "(4*i + j)*ms/4"
    some = make_joined(cells, cells, (3, 0), (1, 2), (0, 0), name="some")
    some.delay = [3, 1, 2] * ms
    one, two = take(cells, dense, some).network.connections
    np.testing.assert_array_equal(one.delay / ms, np.arange(16).reshape(4, 4) / 4)
    np.testing.assert_array_equal(two.delay / ms, [3, 1, 2])
    np.testing.assert_array_equal(two.pattern.i, [3, 1, 0])


def test_connections_come_in_the_order_in_which_brian2_runs_them():
    cells = make_cells()
    names = ["synapses_2", "b", "synapses_10", "a"]
    all_of_them = [make_joined(cells, cells, name=name) for name in names]
    late = make_joined(cells, cells, name="A_late")
    late.pre.order = 3
    connections = take(cells, late, *all_of_them).network.connections
    assert [c.name for c in connections] == [
        "a",
        "b",
        "synapses_10",
        "synapses_2",
        "A_late",
    ]
    whole = b2.Network(cells, late, *all_of_them)
    order = [o.name for o in whole.sorted_objects if o.name.endswith("_pre")]
    assert order == [f"{c.name}_pre" for c in connections]


def test_monitors_say_what_is_recorded():
    cells = make_cells()
    recorded = [
        b2.StateMonitor(cells, "v", record=[0]),
        b2.StateMonitor(cells[:2], ["g", "v"], record=True),
        b2.SpikeMonitor(cells),
        b2.PopulationRateMonitor(cells),
        b2.StateMonitor(cells, "x", record=False),
    ]
    assert sorted(take(cells, recorded).network.groups[0].record) == ["g", "v"]


def test_objects_in_any_container_and_as_collected():
    def script():
        cells = make_cells()
        ear = b2.PoissonGroup(3, 10 * Hz, name="ear")
        joined = make_joined(ear, cells)
        return cells, ear, joined, b2.collect()

    cells, ear, joined, collected = script()
    for given in (
        b2.Network(cells, ear, joined),
        [cells, {"of": (ear, joined)}],
        {o for o in collected if o.name in ("cells", "ear", "joined")},
    ):
        taken = Network.from_brian2(given, duration=20 * ms, namespace=NAMES)
        assert list(taken.network.named) == ["ear", "cells"]
        assert repr(taken) == "TakenNetwork(ear, cells)"


# What comes in.


def brian2_spikes(*objects, duration=20 * ms):
    """The steps and neurons of the spikes of the first object, in Brian2."""
    monitor = b2.SpikeMonitor(objects[0])
    b2.Network(*objects, monitor).run(duration, namespace=NAMES)
    steps = np.rint(np.asarray(monitor.t) / 1e-4).astype(int)
    order = np.lexsort((monitor.i, steps))
    return steps[order].tolist(), np.asarray(monitor.i)[order].tolist()


@pytest.mark.parametrize("period", [0, 7])
def test_spikes_of_a_generator_are_brian2s(period):
    times = np.array([0, 0.1, 0.3, 0.3, 2.999, 3.05, 6.9, 25]) * ms
    times = times[: None if period == 0 else -1]
    neurons = [0, 1, 2, 1, 0, 1, 0, 2][: len(times)]
    ear = b2.SpikeGeneratorGroup(3, neurons, times, period=period * ms, name="ear")
    given = take(make_cells(), ear).inputs(2)["ear"]
    assert (given.n_samples, given.n_neurons, given.dt) == (2, 3, 1e-4)
    steps, indices = brian2_spikes(ear)
    assert len(steps) > 6
    for sample in range(2):
        one = given.select(sample, sample + 1)
        assert (one.step.tolist(), one.neuron.tolist()) == (steps, indices)


@pytest.mark.parametrize("rates", ["array", "constants", "function", "timed"])
def test_rates_of_a_poisson_group(rates):
    expected = np.zeros((200, 3)) + 100 * np.arange(3)
    namespace = {**NAMES, "most": 100 * Hz}
    given = {
        "array": [0, 100, 200] * Hz,
        "constants": "most*i",
        "function": "most*i*(1 + int(t >= 10*ms and i < 2))",
        "timed": "timed(t)*i",
    }[rates]
    if rates == "function":
        expected[100:, :2] *= 2
    if rates == "timed":
        namespace["timed"] = b2.TimedArray([100, 0, 50] * Hz, dt=5 * ms)
        expected[50:100] = 0
        expected[100:] *= 0.5
    ear = b2.PoissonGroup(3, given, name="ear")
    taken = take(make_cells(), ear, namespace=namespace)
    spikes = taken.inputs(3000, seed=1)["ear"]
    count = np.zeros((200, 3))
    np.add.at(count, (spikes.step, spikes.neuron), 1)
    for part in np.split(np.arange(200), 4):
        mean, wanted = count[part].sum(0), 3000 * 1e-4 * expected[part].sum(0)
        # Within five standard deviations of a count.
        assert (np.abs(mean - wanted) <= 5 * np.sqrt(wanted)).all()
    again, other = taken.inputs(2, seed=3)["ear"], taken.inputs(2, seed=4)["ear"]
    assert again.step.tolist() == taken.inputs(2, seed=3)["ear"].step.tolist()
    assert again.step.tolist() != other.step.tolist()


def test_timed_arrays_come_as_currents():
    equations = LIF.replace("x*mV", "I(t, i)*mV + J(t)*mV").replace("x : 1", "")
    namespace = {
        **NAMES,
        "I": b2.TimedArray(np.arange(12.0).reshape(3, 4), dt=1 * ms),
        "J": b2.TimedArray([1.0, 2.0], dt=0.1 * ms),
    }
    taken = take(make_cells(equations=equations), namespace=namespace)
    currents = taken.inputs(2)["cells"]
    step = np.minimum(np.arange(200) // 10, 2)
    np.testing.assert_array_equal(currents["I"][1], namespace["I"].values[step])
    assert currents["J"].shape == (2, 200, 1)
    np.testing.assert_array_equal(currents["J"][0, :3, 0], [1, 2, 2])


# What is refused.


class Refused:
    """Scripts, each of which has a line that cannot be taken over."""

    def plasticity(cells):
        return make_joined(cells, cells, on_post="w += 1*mV")

    def change_of_weights(cells):
        return make_joined(cells, cells, on_pre="g += w; w *= 0.9")

    def presynaptic_neuron(cells):
        return make_joined(cells, cells, on_pre="g += w*x_pre")

    def reading_a_state(cells):
        return make_joined(cells, cells, on_pre="g += w*(v/mV)", model="w : 1")

    def setting_a_state(cells):
        return make_joined(cells, cells, on_pre="g = w")

    def two_weights(cells):
        return make_joined(cells, cells, on_pre="g += w*u", model="w : volt\nu : 1")

    def integer_weight(cells):
        return make_joined(cells, cells, on_pre="g += w*mV", model="w : integer")

    def weight_by_an_equation(cells):
        return make_joined(
            cells, cells, on_pre="g += u", model="w : volt\nu=w*2 : volt"
        )

    def two_constants(cells):
        return make_joined(cells, cells, on_pre="g += jump*gain", model="")

    def no_weight(cells):
        return make_joined(cells, cells, on_pre="g += x*mV", model="")

    def no_statement(cells):
        return make_joined(cells, cells, on_pre="# nothing yet")

    def differential_equation(cells):
        model = "dw/dt = -w/tau : volt (clock-driven)"
        return make_joined(cells, cells, model=model)

    def event_driven_equation(cells):
        model = "w : volt\ndu/dt = -u/tau : 1 (event-driven)"
        return make_joined(cells, cells, model=model)

    def gap_junction(cells):
        return make_joined(cells, cells, on_pre=None, model="x_post = 1.0 : 1 (summed)")

    def two_pathways(cells):
        return make_joined(cells, cells, on_pre={"one": "g += w", "two": "v += w"})

    def pairs_twice(cells):
        joined = make_joined(cells, cells, (0, 1))
        joined.connect(i=0, j=1)
        return joined

    def no_pairs(cells):
        return make_joined(cells, cells, on_pre="g += w", name="joined")[:0]

    def synapses_at_times(cells):
        joined = make_joined(cells, cells)
        joined.run_regularly("w = 0*mV", dt=10 * ms)
        return joined

    def late_synapses(cells):
        joined = make_joined(cells, cells)
        joined.pre.when = "after_resets"
        return joined

    def unconnected(cells):
        return b2.Synapses(cells, cells, "w : volt", on_pre="g += w", name="joined")

    def asleep(cells):
        joined = make_joined(cells, cells)
        joined.active = False
        return joined

    def other_target(cells):
        return make_joined(cells, make_cells(name="others"))

    def called_w(cells):
        equations = LIF.replace("x", "w")
        adapting = make_cells(equations=equations, name="adapting")
        return adapting, make_joined(cells, adapting, model="J : volt", on_pre="g += J")

    def code_at_times(cells):
        cells.run_regularly("v = E", dt=10 * ms, name="lift")

    def operation(cells):
        return b2.NetworkOperation(lambda: None, name="operation")

    def other_events(cells):
        return make_cells(events={"burst": "v > E"}, name="bursting")

    def synapses_of_events(cells):
        bursting = make_cells(events={"burst": "v > E"}, name="bursting")
        return bursting, make_joined(bursting, cells, on_event="burst")

    def contained_operation(cells):
        operation = b2.NetworkOperation(lambda: None, name="operation")
        cells.contained_objects.append(operation)

    def constant_over_dt(cells):
        equations = LIF + "u = x*rand() : 1 (constant over dt)"
        return make_cells(equations=equations, name="rough")

    def other_clock(cells):
        return make_cells(dt=0.2 * ms, name="slow")

    def late_threshold(cells):
        cells.thresholder["spike"].when = "end"

    def poisson_input(cells):
        return b2.PoissonInput(cells, "g", 10, 10 * Hz, weight="jump")

    def whole_number(cells):
        return make_cells(equations=LIF + "n : integer", name="counting")

    def linked(cells):
        return make_cells(equations=LIF + "n : 1 (linked)", name="linking")

    def function(cells):
        @b2.check_units(a=1, result=1)
        def bend(a):
            return a

        equations = LIF.replace("x*mV", "bend(x)*mV")
        return make_cells(equations=equations, name="bent", namespace={"bend": bend})

    def uneven_array(cells):
        equations = LIF.replace("x*mV", "I(t)*mV")
        timed = b2.TimedArray([1.0, 2.0], dt=0.25 * ms)
        return make_cells(equations=equations, name="driven", namespace={"I": timed})

    def unknown_name(cells):
        equations = LIF.replace("E - v", "E_0 - v")
        return make_cells(equations=equations, name="lost")

    def array_in_a_namespace(cells):
        equations = LIF.replace("E - v", "E_0 - v")
        namespace = {"E_0": [1, 2, 3, 4] * mV}
        return make_cells(equations=equations, name="lost", namespace=namespace)

    def method(cells):
        return make_cells(method=lambda *given: "", name="solved")

    def method_options(cells):
        return make_cells(
            method="exact", method_options={"simplify": False}, name="solved"
        )

    def fired_before(cells):
        cells.lastspike = 0 * ms

    def no_dynamics(cells):
        return b2.NeuronGroup(2, "r : Hz", threshold="rand() < r*dt", name="noisy")

    def trace_of_synapses(cells):
        joined = make_joined(cells, cells)
        return joined, b2.StateMonitor(joined, "w", record=True, name="trace")

    def trace_of_a_parameter(cells):
        return b2.StateMonitor(cells, ["v", "x"], record=True, name="trace")

    def late_trace(cells):
        return b2.StateMonitor(cells, "v", record=True, when="end", name="trace")

    def slow_trace(cells):
        return b2.StateMonitor(cells, "v", record=True, dt=1 * ms, name="trace")

    def states_at_spikes(cells):
        return b2.SpikeMonitor(cells, variables="v", name="count")

    def trace_of_others(cells):
        return b2.StateMonitor(make_cells(name="others"), "v", record=True, name="t")

    def random_rates(cells):
        return b2.PoissonGroup(2, "10*Hz*rand()", name="ear")

    def rates_in_ms(cells):
        return b2.PoissonGroup(2, "10*ms", name="ear")

    def brian2_twice(cells):
        return b2.SpikeGeneratorGroup(2, [0, 0], [0.11, 0.12] * ms, name="ear")

    def compartments(cells):
        return b2.SpatialNeuron(
            b2.Cylinder(length=10 * b2.um, diameter=1 * b2.um, n=2),
            "Im = 0*amp/meter**2 : amp/meter**2",
            name="cable",
        )


MESSAGES = {
    "plasticity": r"Synapses 'joined' .* pathways are pre, post, .*'on_post'",
    "change_of_weights": "Synapses 'joined' .* changes 'w' .*plasticity",
    "presynaptic_neuron": "Synapses 'joined' .* 'x_pre' of the presynaptic neuron",
    "reading_a_state": "'on_pre of joined' reads 'v', which changes",
    "setting_a_state": "Synapses 'joined' .* may only add to its target",
    "two_weights": "Synapses 'joined' .* 'u' and 'w'.* multiply them",
    "integer_weight": "Synapses 'joined' .* reads 'w', a integer",
    "weight_by_an_equation": "Synapses 'joined' .* reads 'u', a subexpression",
    "two_constants": "Synapses 'joined' .* nothing but gain, jump that could be",
    "no_weight": "Synapses 'joined' .* nothing that could be its weight",
    "no_statement": "Synapses 'joined' .* 'on_pre' does nothing",
    "differential_equation": "Synapses 'joined' .* by differential equations",
    "event_driven_equation": "Synapses 'joined' .* by differential equations",
    "gap_junction": "Synapses 'joined' .* sums into x_post",
    "two_pathways": "Synapses 'joined' .* pathways are one, two",
    "pairs_twice": r"Synapses 'joined' .* \(0, 1\) comes twice; add their weights",
    "no_pairs": "'objects' must be a Brian2 Network, or its objects",
    "synapses_at_times": "'joined_run_regularly': .*run_regularly",
    "late_synapses": "Synapses 'joined' .* 'joined_pre' runs at 'after_resets'",
    "unconnected": r"Synapses 'joined' .* call connect\(\)",
    "asleep": "Synapses 'joined' .* not active",
    "other_target": "Synapses 'joined' .* not among the objects",
    "called_w": "Synapses 'joined' .* 'adapting' has a variable called 'w'",
    "code_at_times": "NeuronGroup 'cells' .* 'lift': .*run_regularly",
    "operation": "NetworkOperation 'operation' .* runs Python",
    "other_events": "NeuronGroup 'bursting' .* of the event 'burst'",
    "synapses_of_events": "of the event 'burst'",
    "contained_operation": "NeuronGroup 'cells' .* 'operation': it runs Python",
    "constant_over_dt": r"NeuronGroup 'rough' .* \(constant over dt\)",
    "other_clock": "NeuronGroup 'slow' .* 200. us, and that of 'cells' is 100. us",
    "late_threshold": "NeuronGroup 'cells' .* 'cells_spike_thresholder' runs at 'end'",
    "poisson_input": "PoissonInput .* as a PoissonGroup with Synapses",
    "whole_number": "NeuronGroup 'counting' .* 'n' is integer",
    "linked": "NeuronGroup 'linking' .* 'n' is linked",
    "function": "NeuronGroup 'bent' .* 'bend' stands for a Function",
    "uneven_array": "NeuronGroup 'driven' .* dt of the TimedArray 'I', 250. us",
    "unknown_name": "NeuronGroup 'lost' .* \"E_0\" could not be resolved.* namespace=",
    "array_in_a_namespace": r"NeuronGroup 'lost' .* not a scalar value\. Give it",
    "method": "NeuronGroup 'solved' .* its method is <function",
    "method_options": "NeuronGroup 'solved' .* 'method_options' are not supported",
    "fired_before": "NeuronGroup 'cells' .* 'lastspike' .* have never fired",
    "no_dynamics": "NeuronGroup 'noisy' .*must have a differential equation",
    "trace_of_synapses": "StateMonitor 'trace' .* records 'w', which is no variable",
    "trace_of_a_parameter": "StateMonitor 'trace' .* records 'x'.*they are v, g",
    "late_trace": "StateMonitor 'trace' .* runs at 'end'; here it runs at 'start'",
    "slow_trace": "StateMonitor 'trace' .* its dt is 1. ms",
    "states_at_spikes": "SpikeMonitor 'count' .* by a StateMonitor",
    "trace_of_others": "StateMonitor 't' .* not among the objects",
    "random_rates": "PoissonGroup 'ear' .* drawn anew",
    "rates_in_ms": r"PoissonGroup 'ear' .* '10\*ms' are not in Hz",
    "brian2_twice": "SpikeGeneratorGroup 'ear' .* twice",
    "compartments": "SpatialNeuron 'cable' .* compartments",
}


@pytest.mark.parametrize("script", sorted(MESSAGES))
def test_what_cannot_be_taken_over_is_named(script):
    cells = make_cells()
    others = getattr(Refused, script)(cells)
    objects = [cells] if others is None else [cells, others]
    with pytest.raises((TypeError, ValueError), match=MESSAGES[script]):
        take(*objects)


def test_every_refused_script_is_tried():
    assert set(MESSAGES) == {n for n in vars(Refused) if not n.startswith("_")}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("cells", "'objects' must be a Brian2 Network"),
        (7, "'objects' must be a Brian2 Network"),
        ([], "'objects' must hold a NeuronGroup, got nothing"),
        ([b2.Network(name="inner")], "its objects in a list, got"),
        (b2.magic_network, r"pass brian2.collect\(\)"),
    ],
)
def test_objects_must_be_some(given, message):
    with pytest.raises((TypeError, ValueError), match=message):
        Network.from_brian2(given, duration=20 * ms)


def test_a_namespace_must_be_one():
    with pytest.raises(TypeError, match="'namespace' must be a dict, got 7"):
        take(make_cells(), namespace=7)


def test_the_old_rounding_of_refractory_periods_is_refused():
    b2.prefs.legacy.refractory_timing = True
    try:
        with pytest.raises(ValueError, match="'cells' .*legacy.refractory_timing"):
            take(make_cells())
    finally:
        b2.prefs.legacy.refractory_timing = False


def test_another_schedule_is_refused():
    network = b2.Network(make_cells())
    network.schedule = ["start", "groups", "thresholds", "resets", "synapses", "end"]
    with pytest.raises(ValueError, match="the schedule of the Brian2 objects"):
        Network.from_brian2(network, duration=20 * ms, namespace=NAMES)


def test_a_network_that_has_run_is_refused_until_it_is_restored():
    cells = make_cells()
    network = b2.Network(cells)
    network.store()
    network.run(1 * ms, namespace=NAMES)
    for given in (network, [cells]):
        with pytest.raises(ValueError, match=r"been run for 1. ms.*store\(\)"):
            Network.from_brian2(given, duration=20 * ms, namespace=NAMES)
    network.restore()
    assert Network.from_brian2(network, duration=20 * ms, namespace=NAMES)
    assert take(cells)
    assert take(make_cells(name="never_run"))


def test_what_is_made_for_standalone_is_refused():
    b2.set_device("cpp_standalone", build_on_run=False)
    try:
        cells = make_cells()
    finally:
        b2.device.reinit()
        b2.set_device("runtime")
    with pytest.raises(ValueError, match="'cells' .* CPPStandaloneDevice"):
        take(cells)


def test_another_network_cannot_be_put_back():
    cells = make_cells()
    taken = take(cells, make_joined(cells, cells))

    class Other:
        connections = {"others": None}

    with pytest.raises(ValueError, match="with connections joined, got others"):
        taken.put_back(Other())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weights_that_stayed_keep_their_digits(dtype):
    cells = make_cells(2)
    joined = make_joined(cells, cells)
    joined.w = [0.1, 0.2, 0.3, 0.7] * mV
    before = np.asarray(joined.w)
    taken = take(cells, joined)
    new = taken.weights["joined"].astype(dtype)
    new[0, 1] = 5e-4

    class Weights:
        def __call__(self):
            return self

        def detach(self):
            return self

        def numpy(self):
            return new

    class Net:
        connections = {"joined": Weights()}

        def values(self):
            return {}

    taken.put_back(Net())
    expected = np.where([False, True, False, False], dtype(5e-4), before)
    np.testing.assert_array_equal(np.asarray(joined.w), expected)


def test_noise_is_taken_over():
    noisy = LIF.replace("x*mV", "x*mV + sqrt(tau)*jump*xi")
    neuron = take(make_cells(equations=noisy, method="euler")).network.groups[0].neuron
    assert neuron.parsed.stochastic_variables == {"xi"}
