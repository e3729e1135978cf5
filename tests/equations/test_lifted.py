"""What no step changes is computed once, and means the same."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bsnn.equations.lifted import FIXED, Lifted
from bsnn.equations.models import alif, cuba

FUNCTIONS = {"exp": math.exp, "abs": abs, "rand": lambda: 0.25}
VALUES = {"p": 1.25, "q": 0.7, "c": 3.1, "dt": 0.1, "x": -0.4, "y": 2.3}
NAMES = st.sampled_from([*VALUES, "2", "0.5"])
EXPRESSIONS = st.recursive(
    NAMES,
    lambda inner: st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from("+-*/*/"), inner),
        st.builds("{} {} {}".format, inner, st.sampled_from("*/"), NAMES),
        st.builds("exp(-abs({}))".format, inner),
        st.builds("(-{})**2".format, inner),
    ),
    max_leaves=12,
)


def lift(code, **options):
    """Return code that reads fixed values, and what computes them."""
    lifted = Lifted({"p", "q"}, {"c", "dt"})
    return lifted.of(code, **options), lifted.code


def run(code, values):
    names = dict(values)
    exec(code, {"__builtins__": {}, **FUNCTIONS}, names)
    return names


@pytest.mark.parametrize("regroup", [False, True])
@given(first=EXPRESSIONS, second=EXPRESSIONS)
def test_values_are_those_of_the_code_as_it_was(regroup, first, second):
    code = f"z = {first}\ny -= x*({second})"
    try:
        expected = run(code, VALUES)
    except (ZeroDivisionError, OverflowError):
        return
    step, once = lift(code, regroup=regroup)
    found = run(step, run(once, VALUES))
    for name in ("z", "y"):
        if regroup:
            scale = 1e-9 * max(1, abs(expected[name]))
            assert found[name] == pytest.approx(expected[name], rel=1e-9, abs=scale)
        else:
            assert found[name] == expected[name]


def test_factors_of_a_product_become_one():
    code = "z = x*p*exp(-dt/p)*y/(q*c)"
    assert lift(code, regroup=True) == (
        "z = x * y * _fixed_0",
        "_fixed_0 = p * exp(-dt / p) / (q * c)",
    )
    step, once = lift(code)
    assert step == "z = x * p * _fixed_0 * y / _fixed_1"
    assert once == "_fixed_0 = exp(-dt / p)\n_fixed_1 = q * c"


@pytest.mark.parametrize(
    "code",
    [
        "z = x + p",  # a number as it is
        "z = x*exp(-dt/c)",  # that all neurons share
        "z = x*exp(p*rand())",  # not the same in each step
        "z = gain(p)",  # whatever a user's function does
    ],
)
def test_what_is_left_alone(code):
    step, once = lift(code, regroup=True)
    assert once == "" and FIXED not in step


def test_pieces_of_code_share_values():
    lifted = Lifted({"p"}, {"dt"})
    assert lifted.of("a = b*exp(-dt/p)").endswith("_fixed_0")
    assert lifted.of("b = a*exp(-dt/p)").endswith("_fixed_0")
    assert lifted.names == ["_fixed_0"]


@pytest.mark.parametrize("neuron", [alif(), cuba()])
def test_no_exponential_of_a_parameter_is_left_in_a_step(neuron):
    own = {*neuron.values}
    assert "exp(" not in Lifted(own, {"dt"}).of(neuron.update)
    assert Lifted(set(), {*own, "dt"}).of(neuron.update) == neuron.update
