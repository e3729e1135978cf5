"""What a neuron makes of its user's text: names, values, refusals, and its algebra."""

import dataclasses

import numpy as np
import pytest
import sympy as sp
from brian2 import amp, metre, ms, second, volt

from bsnn.equations.adjoint import Adjoint
from bsnn.equations.dynamics import Dynamics
from bsnn.equations.neuron import Neuron
from bsnn.equations.statements import parse, push_forward, symbol
from bsnn.equations.synapse import Synapse

LEAK = "dv/dt = (drive - v)/tau : 1"
FROZEN = f"{LEAK} (unless refractory)"


def leaky(equations=LEAK, **changes):
    values = {"tau": 10 * ms, "drive": [1.0, 2.0, 3.0]}
    given = {"threshold": "v > 1", "reset": "v = 0", "parameters": values, **changes}
    return Neuron(equations, **given)


def test_each_value_says_for_how_many_neurons_it_is_given():
    neuron = leaky(initial={"v": [0.0, 0.1, 0.2]})
    assert neuron.size == 3
    assert neuron.is_shared("tau") and not neuron.is_shared("drive")
    assert type(neuron.values["tau"]) is float and neuron.values["tau"] == 0.01
    np.testing.assert_array_equal(neuron.values["drive"], [1, 2, 3])


def test_a_value_that_all_neurons_share_is_one_of_the_group():
    lines = leaky().group_equations.splitlines()
    assert "tau : second (shared, constant)" in lines
    assert "drive : 1 (constant)" in lines


def test_only_what_is_not_declared_constant_changes_in_a_sample():
    declared = "count : 1\ntau : second (constant)\ndrive : 1 (constant)"
    neuron = leaky(f"{LEAK}\n{declared}", reset="v = 0; count += 1")
    assert neuron.states == ("v", "count")
    assert set(neuron.values) == {"tau", "drive"}


def test_a_value_must_be_finite():
    with pytest.raises(ValueError, match="'parameters' must be finite, got drive=inf"):
        leaky(parameters={"tau": 10 * ms, "drive": np.inf})


@pytest.mark.parametrize("given", [{"reset": "v = 0"}, {"refractory": 2 * ms}])
def test_a_reset_and_a_refractory_period_need_a_threshold(given):
    with pytest.raises(ValueError, match="'reset' and 'refractory' need a 'threshold'"):
        leaky(**{"threshold": None, "reset": None, **given})
    assert leaky(threshold=None, reset=None).threshold is None


def test_only_a_neuron_with_a_refractory_period_knows_whether_it_is_in_it():
    equations = LEAK.replace("drive", "drive*int(not_refractory)")
    with pytest.raises(ValueError, match="uses the name 'not_refractory'"):
        leaky(equations)
    assert leaky(equations, refractory=2 * ms).states == ("v",)


def test_an_error_shows_the_line_of_the_whole_text():
    with pytest.raises(ValueError, match="uses the name 'w'") as raised:
        leaky(reset="v = 0\nv = w")
    assert str(raised.value).endswith("v = w\n    ^")
    with pytest.raises(ValueError, match="uses the name 'w'") as raised:
        leaky(threshold="v > w")
    assert str(raised.value).endswith("v > w\n    ^")


def test_rates_are_the_right_hand_sides():
    v, drive, tau = map(symbol, ("v", "drive", "tau"))
    assert sp.simplify(Dynamics(leaky()).rates()["v"] - (drive - v) / tau) == 0
    frozen = Dynamics(leaky(FROZEN, refractory=2 * ms)).rates(free=False)
    assert frozen == {"v": 0}


def test_a_slope_pushed_through_statements_is_that_of_their_composition():
    statements = parse("a = x**2*p\nb = sin(a)*x")
    x, a, b = map(symbol, "xab")
    added, (slope,) = push_forward(statements, [b * a], "x")
    values = dict(statements)
    for name, value in reversed(added):
        slope = slope.xreplace({symbol(name): value})
    for name in "ba":
        slope = slope.xreplace({symbol(name): values[name]})
    whole = (values["b"] * a).xreplace({a: values["a"]})
    assert sp.simplify(slope - whole.diff(x)) == 0


def test_only_a_condition_that_freezes_cannot_be_differentiated():
    for equations, refractory in ((FROZEN, 2 * ms), (LEAK, "v > 0.5")):
        Adjoint(leaky(equations, refractory=refractory))
    with pytest.raises(ValueError, match="give 'refractory' as a time"):
        Adjoint(leaky(FROZEN, refractory="v > 0.5"))


def test_a_learned_refractory_period_gathers_what_its_end_shifts():
    values = {"tau": 10 * ms, "drive": 2.0, "rest": 2 * ms}
    neuron = leaky(FROZEN, refractory="3*rest", parameters=values)
    code = dict(parse(Adjoint(neuron, ("rest",)).release()))
    gathered, shift = map(symbol, ("_grad_rest", "_shift"))
    assert sp.simplify(code["_grad_rest"] - gathered - 3 * shift) == 0
    # The period over, v moves again: (drive - v)/tau that it did not.
    v, drive, tau, pull = map(symbol, ("v", "drive", "tau", "_lambda_v"))
    assert sp.simplify(code["_shift"] + pull * (drive - v) / tau) == 0


def test_an_adjoint_stays_that_of_its_neuron():
    adjoint = Adjoint(leaky())
    with pytest.raises(dataclasses.FrozenInstanceError):
        adjoint.learn = ("tau",)


@pytest.mark.parametrize(
    ("equations", "message"),
    [
        ("dv/dt = (9**9**9**9 - v)/tau : 1", "an exponent larger than 100"),
        ("dv/dt = ((v + 1)**99)**99/tau : 1", "more than 1000 terms"),
        ("dv/dt = (v + drive + tau/second)**99/tau : 1", "more than 1000 terms"),
        (f"dv/dt = -v/tau{'+ v/tau' * 200} : 1", "more than 100 operations within"),
        (f"{LEAK}\nx : 9**9**9", "'9\\*\\*9\\*\\*9' is no unit"),
        (f"{LEAK}\nx : second**0xffffffff", "is no unit"),
        (f"{LEAK}\nx = y : 1\ny = x : 1", "contain a cycle"),
        ("dv/dt = (drive - v)/tau/0 : 1", "is not finite"),
        ("dv/dt = (1e999 - v)/tau : 1", "a number that is too large"),
        ("dv/dt = (True*drive - v)/tau : 1", "calculates with True or False"),
        (f"{LEAK}{' ' * 10_000}", "longer than 10000 characters"),
    ],
)
def test_equations_that_algebra_would_choke_on_are_refused(equations, message):
    with pytest.raises(ValueError, match=message):
        leaky(equations)


def test_subexpressions_of_subexpressions_do_not_grow_without_bound():
    chain = [f"x{k + 1} = x{k}*x{k} : 1" for k in range(20)]
    with pytest.raises(ValueError, match="more than 1000 terms"):
        leaky("\n".join([f"{LEAK[:-4]} + 0*x20/tau : 1", "x0 = v + 1 : 1", *chain]))


def test_units_with_powers_are_read():
    neuron = leaky(f"{LEAK}\nx : amp*metre**-2/second**0.5*volt**2 (constant)")
    assert neuron.parsed["x"].dim == (amp * metre**-2 / second**0.5 * volt**2).dim


@pytest.mark.parametrize("refractory", [" 0.5", "tau + 1", "v +"])
def test_a_refractory_text_that_is_none_is_told(refractory):
    with pytest.raises(ValueError, match="'refractory'"):
        leaky(refractory=refractory)


@pytest.mark.parametrize(
    ("on_pre", "message"),
    [
        ("v += w + 1/0", "is not finite"),
        ("v += w*9**9**9", "an exponent larger than 100"),
        ("v += int(w)", "the same whatever the weight is"),
        ("v += w*tau + w", "inconsistent units|different units"),
        ("v += w*v_pre", "reads 'v_pre' of the presynaptic neuron"),
    ],
)
def test_a_synapse_that_makes_no_sense_is_told(on_pre, message):
    with pytest.raises(ValueError, match=message):
        Synapse(on_pre, leaky(), "a->b")


@pytest.mark.parametrize(
    "given",
    [
        {"value": 10**400, "unit": [0] * 7},
        {"value": "x", "unit": [0] * 7},
        {"value": 1, "unit": [1e300] + [0] * 6},
        {"value": 1, "unit": [0]},
        {"value": 1, "unit": "second"},
    ],
)
def test_values_in_a_file_must_be_numbers_with_a_unit(given):
    values = leaky().to_dict()
    values["parameters"]["tau"] = given
    with pytest.raises(ValueError, match="'unit'"):
        Neuron.from_dict(values)
