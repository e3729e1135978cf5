"""Derivatives of straight-line code, and the adjoint as it is printed."""

import math

import pytest
import sympy as sp
from brian2.parsing.sympytools import str_to_sympy

from bsnn import Neuron
from bsnn.equations.adjoint import Adjoint
from bsnn.equations.models import alif, coba_lif, lif
from bsnn.equations.statements import (
    derivative,
    parse,
    prune,
    pull_back,
    push_forward,
    render,
    single_assignment,
)


def exprel(x):
    return math.expm1(x) / x if x else 1.0


_NUMBERS = {
    "exp": math.exp,
    "expm1": math.expm1,
    "log": math.log,
    "log10": math.log10,
    "log1p": math.log1p,
    "sqrt": math.sqrt,
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "sinh": math.sinh,
    "cosh": math.cosh,
    "tanh": math.tanh,
    "arctan": math.atan,
    "arcsin": math.asin,
    "arccos": math.acos,
    "abs": abs,
    "sign": lambda x: (x > 0) - (x < 0),
    "exprel": exprel,
    "int": int,
    "floor": math.floor,
    "ceil": math.ceil,
    "clip": lambda x, a, b: min(max(x, a), b),
}


def number(text, **names):
    return eval(text, {"__builtins__": {}}, {**_NUMBERS, **names})


@pytest.mark.parametrize("x", [0.013, 0.31, 0.77])
@pytest.mark.parametrize(
    "text",
    [
        *(
            f"{name}(x)"
            for name in _NUMBERS
            if name not in ("clip", "sign", "int", "floor", "ceil")
        ),
        "exprel(x/0.2)",
        "exprel(-40*x)",
        "clip(x**2, 0.1, 0.5)",
        "clip(0.3, x, 2*x)",
        "sign(x - 0.5)*x",
        "int(x > 0.5)*x**2",
        "floor(3*x)*x + ceil(x)",
        "x**3.5/(1 + x)**2",
        "2**x",
    ],
)
def test_derivatives_are_central_differences(text, x):
    h = 1e-6
    expected = (number(text, x=x + h) - number(text, x=x - h)) / (2 * h)
    found = number(render(derivative(str_to_sympy(text), "x")), x=x)
    assert found == pytest.approx(expected, rel=1e-7, abs=1e-8)


@pytest.mark.parametrize("x", [0.0, 1e-12, 1e-5, 0.0999, 0.1001, -0.05])
def test_the_derivative_of_exprel_is_precise_near_0(x):
    found = number(render(derivative(str_to_sympy("exprel(x)"), "x")), x=x)
    y = sp.Float(x, 60)
    exact = ((y - 1) * sp.exp(y) + 1) / y**2 if x else sp.Rational(1, 2)
    assert found == pytest.approx(float(exact), rel=1e-13)


def test_a_function_without_derivative_is_named():
    with pytest.raises(ValueError, match="'mystery' is not known"):
        derivative(str_to_sympy("mystery(x)"), "x")
    assert derivative(str_to_sympy("mystery(y)*x"), "x").has(sp.Function("mystery"))


def test_code_is_differentiated_both_ways():
    code = "k = a*x + b; x = x + exp(k)*b; y += k*x; k = 2; y *= k"
    statements, final = single_assignment(parse(code), ["x", "y"])
    at = {"a": 0.3, "b": -0.7, "x": 0.9, "y": 1.1}

    def run(values):
        names = {**_NUMBERS, **values}
        exec(code, {"__builtins__": {}}, names)
        return 2 * names["x"] - 3 * names["y"]

    seeds = [(final["x"], sp.Integer(2)), (final["y"], sp.Integer(-3))]
    added, bar = pull_back(statements, seeds, list(at))
    names = dict(at)
    for name, value in prune(statements + added, bar.values()):
        names[name] = number(render(value), **names)
    loss = 2 * final["x"] - 3 * final["y"]
    for name in at:
        h = 1e-6
        ends = [run({**at, name: at[name] + sign * h}) for sign in (1, -1)]
        expected = (ends[0] - ends[1]) / (2 * h)
        assert number(render(bar[name]), **names) == pytest.approx(expected, rel=1e-7)
        more, (slope,) = push_forward(statements, [loss], name)
        forward = dict(at)
        for assigned, value in statements + more:
            forward[assigned] = number(render(value), **forward)
        assert number(render(slope), **forward) == pytest.approx(expected, rel=1e-7)


def test_the_adjoint_reads_as_a_person_writes_it():
    assert str(alif().adjoint("beta")) == "\n".join(
        [
            "Backwards in time, with lambda_x = dL/dx:",
            "",
            "    -dlambda_v/dt = -lambda_v/tau_mem",
            "    -dlambda_i_syn/dt = -lambda_i_syn/tau_syn + lambda_v/tau_mem",
            "    -dlambda_a/dt = -lambda_a/tau_a",
            "",
            "At a spike (v > 1 + a), delivered at T:",
            "",
            "    dL/dT += beta*lambda_a/tau_a - lambda_v/tau_mem",
            "    dL/dbeta += lambda_a",
            "    q = -(dL/dT) / max(a/tau_a + i_syn/tau_mem - v/tau_mem, slope_min)",
            "    lambda_v += q",
            "    lambda_a += -q",
        ]
    )
    refractory = str(coba_lif().adjoint())
    assert "lambda of v is constant while refractory" in refractory
    assert "Where the refractory period after T ends:" in refractory


def test_what_cannot_be_differentiated_is_named():
    with pytest.raises(ValueError, match="names 'gamma', which is no parameter"):
        lif().adjoint("gamma")
    either = Neuron("dv/dt = -v/(2*ms) : 1", "v > 1 or v < -1", "v = 0")
    with pytest.raises(ValueError, match="no single comparison"):
        either.adjoint().crossing()
    frozen = Neuron(
        "dv/dt = -v/(2*ms) : 1 (unless refractory)",
        "v > 1",
        "v = 0",
        refractory="v > 0",
    )
    with pytest.raises(ValueError, match="give 'refractory' as a time"):
        frozen.adjoint()


def test_linear_neurons_are_pulled_back_without_their_state():
    code = Adjoint(alif()).update()
    read = {s.name for _, value in parse(code) for s in value.free_symbols}
    assert not read & {"v", "i_syn", "a"}
