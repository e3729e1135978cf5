"""The CUBA LIF equations, their closed form and their crossings."""

import copy
import dataclasses
import pickle

import numpy as np
import pytest
import sympy
import torch
from brian2 import Equations, Hz, NeuronGroup, ms, mV, prefs
from hypothesis import assume, given
from hypothesis import strategies as st

from bsnn import Model, make_simulator
from bsnn.equations import CubaLIF, ExponentialModes
from bsnn.equations.models.cuba_lif import (
    EQUATIONS,
    TEXTS,
    crossing,
    peak_time,
    response_scale,
    slope,
    solution,
)
from bsnn.program.forward import kept_variables
from tests.oracles import grid as oracles
from tests.strategies import tau_pairs

TAU_PAIRS = [(0.26, 0.13), (0.02, 0.005), (0.005, 0.02), (0.03, 0.0299)]


def test_solution_satisfies_the_equation_text():
    t, v0, i0 = sympy.symbols("t v0 i0")
    tau_mem, tau_syn = sympy.symbols("tau_mem tau_syn", positive=True)
    v, i_syn = solution(t, v0, i0, tau_mem=tau_mem, tau_syn=tau_syn, exp=sympy.exp)
    state = {"v": v, "i_syn": i_syn, "tau_mem": tau_mem, "tau_syn": tau_syn}
    for name, expression in Equations(EQUATIONS).eq_expressions:
        right = sympy.sympify(expression.code, locals=state)
        assert sympy.simplify(sympy.diff(state[name], t) - right) == 0
    assert (v.subs(t, 0), i_syn.subs(t, 0)) == (v0, i0)


@pytest.mark.parametrize(("tau_mem", "tau_syn"), TAU_PAIRS)
def test_solution_is_the_matrix_exponential(tau_mem, tau_syn, rng):
    for t, v0, i0 in rng.uniform([0, -1, -20], [0.2, 1, 20], (20, 3)):
        expected = oracles.propagate(t, v0, i0, tau_mem, tau_syn)
        found = solution(t, v0, i0, tau_mem=tau_mem, tau_syn=tau_syn)
        # Nearly equal time constants subtract nearly equal exponentials.
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("tau_mem", "tau_syn"), TAU_PAIRS)
@pytest.mark.parametrize("dt", [0.0005, 0.007])
def test_crossing_is_the_root(tau_mem, tau_syn, dt, rng):
    n_found = 0
    for v0, i0 in rng.uniform([0.9, 0], [1.0, 400], (60, 2)):
        expected = oracles.first_crossing(v0, i0, dt, 1.0, tau_mem, tau_syn)
        if expected is None:
            continue
        n_found += 1
        end = oracles.propagate(dt, v0, i0, tau_mem, tau_syn)
        parameters = {"v_threshold": 1.0, "tau_mem": tau_mem, "tau_syn": tau_syn}
        delay, steepness = crossing(*end, dt, **parameters)
        v, i_syn = oracles.propagate(expected, v0, i0, tau_mem, tau_syn)
        # The state at the start of the bin is recovered to rounding, which a slope of
        # a few Hz turns into at most femtoseconds.
        np.testing.assert_allclose(delay, expected, rtol=1e-9, atol=1e-15)
        np.testing.assert_allclose(steepness, -v / tau_mem + i_syn, rtol=1e-7)
    assert n_found > 10


@given(tau_pairs(), st.floats(0.05, 0.99), st.floats(1, 1e4), st.floats(1e-4, 0.02))
def test_crossing_lies_in_the_bin_and_on_the_threshold(taus, v0, i0, dt):
    tau_mem, tau_syn = taus
    end = solution(dt, v0, i0, tau_mem=tau_mem, tau_syn=tau_syn)
    assume(end[0] >= 1.0)
    delay, steepness = crossing(
        *end, dt, v_threshold=1.0, tau_mem=tau_mem, tau_syn=tau_syn
    )
    assert 0 <= delay <= dt
    v = solution(delay, v0, i0, tau_mem=tau_mem, tau_syn=tau_syn)[0]
    # Going back a bin of 20 time constants amplifies rounding by their exponential.
    np.testing.assert_allclose(v, 1.0, rtol=1e-9 * np.exp(dt / min(taus)))
    assert steepness >= 0


def test_crossing_before_a_peak_inside_the_bin():
    # With fast synapses v rises, crosses, peaks and is below threshold at the end.
    tau_mem, tau_syn, dt, v0, i0 = 0.02, 0.002, 0.03, 0.0, 700.0
    end = oracles.propagate(dt, v0, i0, tau_mem, tau_syn)
    assert end[0] < 1
    expected = oracles.first_crossing(v0, i0, dt, 1.0, tau_mem, tau_syn)
    delay, _ = crossing(*end, dt, v_threshold=1.0, tau_mem=tau_mem, tau_syn=tau_syn)
    np.testing.assert_allclose(delay, expected, rtol=1e-9)


@pytest.mark.parametrize(("tau_mem", "tau_syn"), TAU_PAIRS)
def test_crossings_of_tensors_are_those_of_arrays(tau_mem, tau_syn, rng):
    # Below and above threshold at the start of the bin, rising and falling.
    v0, i0 = rng.uniform([0.5, -20], [1.1, 400], (500, 2)).T
    end = solution(0.005, v0, i0, tau_mem=tau_mem, tau_syn=tau_syn)
    parameters = {"v_threshold": 1.0, "tau_mem": tau_mem, "tau_syn": tau_syn}
    expected = crossing(*end, 0.005, **parameters)
    found = crossing(*map(torch.from_numpy, end), 0.005, **parameters, xp=torch)
    for values, tensor in zip(expected, found, strict=True):
        assert tensor.dtype == torch.float64
        np.testing.assert_allclose(tensor.numpy(), values, rtol=1e-9, atol=1e-15)


def test_neuron_above_threshold_at_bin_start_crosses_nowhere():
    tau_mem, tau_syn, dt = 0.26, 0.13, 0.001
    for i0 in (-5.0, 5.0):
        v, i_syn = solution(dt, 1.2, i0, tau_mem=tau_mem, tau_syn=tau_syn)
        delay, steepness = crossing(
            v, i_syn, dt, v_threshold=1.0, tau_mem=tau_mem, tau_syn=tau_syn
        )
        ends = slope(np.array([1.2, v]), np.array([i0, i_syn]), tau_mem=tau_mem)
        assert delay == 0
        np.testing.assert_allclose(steepness, ends.max(), rtol=1e-9)


def test_peak_time_is_where_the_slope_vanishes(rng):
    tau_mem, tau_syn = 0.26, 0.13
    for v0, i0 in rng.uniform([0, 5], [1, 50], (20, 2)):
        t = peak_time(v0, i0, tau_mem=tau_mem, tau_syn=tau_syn)
        v, i_syn = oracles.propagate(t, v0, i0, tau_mem, tau_syn)
        assert abs(-v / tau_mem + i_syn) < 1e-9 * i0
    assert np.isnan(peak_time(0.5, -3.0, tau_mem=tau_mem, tau_syn=tau_syn))


def test_modes_are_the_responses_to_a_spike_and_a_reset():
    neuron = CubaLIF(tau_mem=20 * ms, tau_syn=5 * ms, v_threshold=1.0, delta_v=0.7)
    t = 0.013
    spike = oracles.propagate(t, 0, 1, 0.02, 0.005)
    reset = oracles.propagate(t, -0.7, 0, 0.02, 0.005)
    np.testing.assert_allclose(neuron.modes.response(t), spike[0], rtol=1e-12)
    slope_of_v = -spike[0] / 0.02 + spike[1]
    np.testing.assert_allclose(neuron.modes.response_slope(t), slope_of_v, rtol=1e-12)
    own = sum(
        c * np.exp(-t / tau)
        for c, tau in zip(neuron.modes.reset, neuron.modes.tau, strict=True)
    )
    np.testing.assert_allclose(own, reset[0], rtol=1e-12)
    np.testing.assert_allclose(response_scale(0.02, 0.005), 1 / 150, rtol=1e-12)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"tau_mem": 0.26}, TypeError, "'tau_mem' must be a Brian2 quantity"),
        ({"tau_mem": 260 * mV}, TypeError, "dimension of time"),
        ({"tau_syn": 3 * Hz}, TypeError, "'tau_syn'"),
        ({"tau_syn": 0 * ms}, ValueError, "'tau_syn' must be positive"),
        ({"tau_mem": -1 * ms}, ValueError, "'tau_mem' must be positive"),
        ({"tau_mem": float("nan") * ms}, ValueError, "'tau_mem' must be finite"),
        ({"tau_mem": 130 * ms}, ValueError, "'tau_mem' and 'tau_syn' must differ"),
        ({"v_threshold": 0}, ValueError, "'v_threshold' must be positive"),
        ({"v_threshold": 5 * mV}, TypeError, "'v_threshold' must be a dimensionless"),
        ({"delta_v": float("inf")}, ValueError, "'delta_v' must be finite"),
    ],
)
def test_impossible_parameters_are_refused(changes, error, words):
    with pytest.raises(error, match=words):
        CubaLIF(**{"tau_mem": 260 * ms, "tau_syn": 130 * ms, **changes})


def test_delta_v_is_the_threshold_unless_given():
    assert CubaLIF(v_threshold=0.2).delta_v == 0.2
    assert CubaLIF(v_threshold=0.2, delta_v=0.1).delta_v == 0.1


# --- neurons that are not this one ----------------------------------------------------


def one_layer(neuron, rule="grid"):
    return Model(
        n_inputs=3,
        layer_sizes=[2],
        neurons=[neuron],
        dt=(0 if rule == "continuous" else 1) * ms,
        duration=20 * ms,
        rule=rule,
    )


class Adaptive(CubaLIF):
    equations = EQUATIONS.replace(": 1", "- a*Hz : 1", 1) + "da/dt = -a/tau_mem : 1"


class HardReset(CubaLIF):
    reset = "v = 0"


class OtherThreshold(CubaLIF):
    threshold = "v > 2*v_threshold"


class OtherCrossing(CubaLIF):
    threshold_crossing = "v >= v_threshold or v_start >= v_threshold"


class OtherCrossingEquations(CubaLIF):
    crossing_equations = "v_start = v : 1"


class OtherMethod(CubaLIF):
    method = "euler"


class VoltageSynapse(CubaLIF):
    synapse = "v"


class OtherState(CubaLIF):
    state = ("v",)


class OtherModes(CubaLIF):
    @property
    def modes(self):
        return ExponentialModes(tau=(1.0,), synaptic=(1.0,), reset=(0.0,))


class OtherClosedForm(CubaLIF):
    def crossing(self, v, i_syn, dt, *, xp=np):
        return super().crossing(v, i_syn, 0.5 * dt, xp=xp)


class OtherNamespace(CubaLIF):
    @property
    def namespace(self):
        return {**super().namespace, "v_threshold": 2.0}


class OtherParameters(CubaLIF):
    @property
    def parameters(self):
        return {**super().parameters, "delta_v": 0.5}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Refractory(CubaLIF):
    refractory: float = 0.002


OTHERS = {
    Adaptive: "equations",
    HardReset: "reset",
    OtherThreshold: "threshold",
    OtherCrossing: "threshold_crossing",
    OtherCrossingEquations: "crossing_equations",
    OtherMethod: "method",
    VoltageSynapse: "synapse",
    OtherState: "state",
    OtherModes: "modes",
    OtherClosedForm: "crossing",
    OtherNamespace: "namespace",
    OtherParameters: "parameters",
    Refractory: "refractory",
}


@pytest.mark.parametrize("rule", ["grid", "quantised-event", "continuous"])
@pytest.mark.parametrize("kind", OTHERS)
def test_other_neurons_are_refused(kind, rule):
    words = (
        "'neurons' of layer 1 must be a CubaLIF with its own equations, got "
        f"{kind.__name__} with another {OTHERS[kind]}"
    )
    with pytest.raises(ValueError, match=words):
        one_layer(kind(), rule)


class Unchecked(CubaLIF):
    def __post_init__(self):
        object.__setattr__(self, "delta_v", self.v_threshold)


def test_checks_of_a_neuron_cannot_be_left_out():
    with pytest.raises(ValueError, match="'tau_mem' and 'tau_syn' must differ"):
        one_layer(Unchecked(tau_mem=10 * ms, tau_syn=10 * ms))
    with pytest.raises(ValueError, match="'v_threshold' must be positive"):
        one_layer(Unchecked(v_threshold=-1.0))


@pytest.mark.parametrize("neuron", [None, EQUATIONS, CubaLIF, {"tau_mem": 0.26}])
def test_what_is_no_neuron_is_refused(neuron):
    with pytest.raises(TypeError, match="'neurons' of layer 1 must be a CubaLIF, got"):
        one_layer(neuron)


class Documented(CubaLIF):
    """A neuron with a method more."""

    equations = EQUATIONS

    def rate(self):
        return 1 / self.tau_mem


def test_a_subclass_that_adds_a_method_is_the_same_neuron():
    model = one_layer(Documented(v_threshold=0.3))
    assert Model.from_dict(model.to_dict()).to_dict() == model.to_dict()
    assert model.to_dict() == one_layer(CubaLIF(v_threshold=0.3)).to_dict()


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("rule", ["grid", "continuous"])
def test_a_class_that_was_changed_since_is_refused(name, rule, monkeypatch):
    """A notebook edits a class, or a pickle comes from before the edit."""
    model = one_layer(CubaLIF(), rule)
    monkeypatch.setattr(CubaLIF, name, "other")
    for same in (model, pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        with pytest.raises(ValueError, match=f"with another {name};"):
            make_simulator(same)
    with pytest.raises(ValueError, match=f"with another {name};"):
        Model.from_dict(model.to_dict())


def test_every_variable_of_a_neuron_is_put_to_rest(monkeypatch):
    monkeypatch.setitem(prefs, "codegen.target", "numpy")
    group = NeuronGroup(
        2,
        """
        dv/dt = (-v + i_syn - a)/tau : 1
        di_syn/dt = -i_syn/tau       : 1
        da/dt = -a/tau               : 1
        n_fired                      : 1
        tau                          : second (constant)
        doubled = 2*v                : 1
        """,
        name="rested",
    )
    assert kept_variables(group) == ["a", "i_syn", "n_fired", "v"]
    # What Brian2 gives each at the start is what a sample starts with.
    for name in kept_variables(group):
        assert (group.variables[name].get_value() == 0).all()
