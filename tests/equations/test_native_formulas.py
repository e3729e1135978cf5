"""Formulas that C++ repeats are those of the Python text, compared as algebra.

Each expression is read out of its C++ file by the name it is assigned to, with the
names of other expressions filled in, and compared with what the equation module says.
"""

import math
import re
from pathlib import Path

import numpy as np
import pytest
import sympy

from bsnn.equations import time_rules
from bsnn.equations.models import cuba_lif

ROOT = Path(__file__).parents[2]
EVENT = ROOT / "bsnn" / "simulators" / "native" / "event.cpp"
GRADIENT = ROOT / "training" / "linear" / "native" / "gradient.cpp"

tau_mem, t = sympy.symbols("tau_mem t", positive=True)
v0, i0, v, i_syn, theta, dt = sympy.symbols("v0 i0 v i_syn theta dt", real=True)
TAUS = {"tau_mem": tau_mem, "tau_syn": tau_mem / 2}
X = sympy.exp(-t / tau_mem)
CPP_FUNCTIONS = {"std::exp": "exp", "std::sqrt": "sqrt", "std::log": "log"}
CPP_FUNCTIONS |= {"logarithm": "log"}


def read(path, name):
    """What `name` is assigned in a C++ file, as text; it must be assigned once."""
    source = re.sub(r"//.*", "", path.read_text())
    found = re.findall(rf"(?<![\w.]){name} = (.*?)(?:;|, \w+ = )", source)
    assert len(found) == 1, f"{path.name} assigns {name} {len(found)} times: {found}"
    return found[0]


def algebra(text, **names):
    """A C++ expression as sympy; `names` says what its variables are."""
    for cpp, python in CPP_FUNCTIONS.items():
        text = text.replace(cpp, python)
    text = re.sub(r"std::max\((.*), 0\.0\)", r"(\1)", text)
    text = re.sub(r"(\w+) > 0 \? \1 : 0", r"\1", text)
    text = re.sub(r"\b(layer|p_|interval)\.", "", text)
    return sympy.sympify(text, locals={"tau_mem": tau_mem, **names})


def same(one, other):
    return sympy.simplify(sympy.expand(one - other)) == 0


def test_the_event_kernel_counts_bins_as_the_rules_do():
    (text,) = re.findall(
        r"bins_until\(double t\) const \{ return int64_t\((.*)\); \}", EVENT.read_text()
    )
    count = eval(  # a line of our own source
        f"lambda t, dt: {text.replace('std::ceil', 'ceil').replace('p_.dt', 'dt')}",
        {"ceil": math.ceil},
    )
    # At whole steps and near them, on both sides of what counts as rounding.
    near = np.array([0, 1e-15, -1e-15, 9e-10, -9e-10, 1.1e-9, -1.1e-9, 0.5])
    for step in (0.0001, 0.0005, 0.001, 0.003, 0.007, 0.008, 0.13):
        for time in ((np.arange(1, 400)[:, None] + near) * step).ravel():
            assert count(time, step) == time_rules.count_steps(time, step)


@pytest.mark.parametrize("path", [EVENT, GRADIENT])
def test_kernels_deliver_at_the_end_of_a_bin(path):
    (factor,) = re.findall(r"(?:double\()?\(?step \+ (\d)\)", path.read_text())
    assert time_rules.delivery_time(7, 0.5) == (7 + int(factor)) * 0.5


def test_the_event_kernel_has_the_potential_of_the_closed_form():
    (text,) = re.findall(
        r"potential\(double a, double b, double x\) \{ return (.*); \}",
        EVENT.read_text(),
    )
    # What a delivery of weight w at x = 1 adds to a and to b.
    w = sympy.Symbol("w")
    to_a = algebra(read(EVENT, "to_a"), x_start=1)
    to_b = algebra(read(EVENT, "to_b"), x_start=1, to_a=to_a)
    potential = algebra(text, a=to_a * w, b=to_b * w, x=X)
    expected, _ = cuba_lif.solution(t, 0, w, **TAUS, exp=sympy.exp)
    assert same(potential, expected)
    # Of a delivery at x_start, the same a time later: both see x / x_start.
    s = sympy.Symbol("s", positive=True)
    late_a = algebra(read(EVENT, "to_a"), x_start=s)
    late_b = algebra(read(EVENT, "to_b"), x_start=s, to_a=late_a)
    late = algebra(text, a=late_a * w, b=late_b * w, x=X * s)
    assert same(late, expected)


def test_the_event_kernel_crosses_where_the_closed_form_does():
    a, b = sympy.symbols("a b", positive=True)
    root = algebra(read(EVENT, "root"), a=a, b=b, theta=theta)
    (x_text,) = re.findall(r"double x = std::clamp\((.*), interval", EVENT.read_text())
    x = algebra(x_text, a=a, b=b, root=root)
    assert same(x * (a - b * x), theta)
    (slope_text,) = re.findall(r"push_back\(\{t, ([^,]+),", EVENT.read_text())
    slope = algebra(slope_text, x=x, root=root)
    # a = v0 + kappa i0 and b = kappa i0 at x = 1 give the state at the crossing.
    i_there = b / tau_mem * x**2
    assert same(slope, cuba_lif.slope(theta, i_there, tau_mem=tau_mem))


def test_the_gradient_kernel_goes_back_to_the_start_of_the_bin():
    names = {"v": v, "i_syn": i_syn, "dt": dt, "rate": 1 / tau_mem, "kappa": tau_mem}
    for name in ("growth_mem", "growth_syn"):
        names[name] = algebra(read(GRADIENT, name), **names)
    expected = cuba_lif.solution(-dt, v, i_syn, **TAUS, exp=sympy.exp)
    start = {name: algebra(read(GRADIENT, name), **names) for name in ("v0", "i0")}
    assert same(start["v0"], expected[0])
    assert same(start["i0"], expected[1])
    kappa = cuba_lif.response_scale(TAUS["tau_mem"], TAUS["tau_syn"])
    assert same(algebra(read(GRADIENT, "kappa")), kappa)


def test_the_gradient_kernel_crosses_where_the_closed_form_does():
    names = {"v0": v0, "i0": i0, "kappa": tau_mem, "v_threshold": theta}
    for name in ("a", "b", "square"):
        names[name] = algebra(read(GRADIENT, name), **names)
    (text,) = re.findall(r"double x = (\(b \+ .*\));?", GRADIENT.read_text())
    x = algebra(text.split(";")[0], **names)
    (text,) = re.findall(r"root = x > 0 \? (.*) : nan", GRADIENT.read_text())
    delay = algebra(text, x=sympy.Symbol("x", positive=True), kappa=tau_mem)
    there = sympy.exp(-delay / tau_mem)
    assert same(there, sympy.Symbol("x", positive=True))
    # v at the crossing, from the closed form with exp(-t/tau_mem) = x.
    potential, _ = cuba_lif.solution(t, v0, i0, **TAUS, exp=sympy.exp)
    z = sympy.Symbol("z", positive=True)
    assert same(potential.subs(t, -tau_mem * sympy.log(z)).subs(z, x), theta)


def test_the_gradient_kernel_has_the_slopes_of_the_closed_form():
    names = {"v0": v0, "i0": i0, "v": v, "i_syn": i_syn, "rate": 1 / tau_mem}
    for name, state in (("at_start", (v0, i0)), ("at_end", (v, i_syn))):
        slope = algebra(read(GRADIENT, name), **names)
        assert same(slope, cuba_lif.slope(*state, tau_mem=tau_mem))
    x = sympy.Symbol("x", positive=True)
    i_crossing = algebra(read(GRADIENT, "i_crossing"), x=x, **names)
    _, expected = cuba_lif.solution(
        -tau_mem * sympy.log(x), v0, i0, **TAUS, exp=sympy.exp
    )
    assert same(i_crossing, expected)
    (text,) = re.findall(r"steepest_end : (i_crossing.*);", GRADIENT.read_text())
    names |= {"i_crossing": i_crossing, "v_threshold": theta}
    assert same(
        algebra(text, **names), cuba_lif.slope(theta, i_crossing, tau_mem=tau_mem)
    )
