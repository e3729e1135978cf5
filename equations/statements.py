r"""Straight-line code and its derivatives: text in, algebra, text out.

Brian2 writes a step of a simulation as straight-line code, one assignment a line. Its
reverse-mode derivative is straight-line code again: with every name assigned once, from
the last line ``y = e(x, ...)`` to the first,

    bar_x += bar_y de/dx,

where bar_y is the derivative of a loss with respect to y (Griewank & Walther 2008,
doi:10.1137/1.9780898717761).
"""

import re

import sympy as sp
from brian2.core.functions import DEFAULT_FUNCTIONS, exprel
from brian2.parsing.sympytools import str_to_sympy, sympy_to_str
from sympy.core.relational import Relational
from sympy.logic.boolalg import BooleanAtom, BooleanFunction

_STATEMENT = re.compile(r"\s*(?P<name>\w+)\s*(?P<op>[-+*/]?)=(?!=)\s*(?P<value>.+?)\s*")
_INT = sp.Function("int_")  # as Brian2 calls int(...)
# Constant but for steps, whose derivative is taken as 0; or random, or of the clock.
_STEPS = (sp.sign, sp.floor, sp.ceiling, Relational, BooleanFunction)
_STEP_NAMES = {"int_", "rand", "randn", "poisson", "timestep"}
# Whose derivatives sympy knows, beside the steps.
_SMOOTH = {
    function.sympy_func
    for function in DEFAULT_FUNCTIONS.values()
    if isinstance(function.sympy_func, sp.FunctionClass)
} | {sp.Abs}
_NEAR = 0.1  # below it the derivative of exprel is summed as a series


class _Clip(sp.Function):
    """clip(x, low, high) that knows its derivatives."""

    nargs = 3

    def fdiff(self, argindex=1):
        x, low, high = self.args
        inside = [sp.And(x > low, x < high), x <= low, x >= high]
        return _INT(inside[argindex - 1])


class _Exprel(sp.Function):
    """exprel(x) = (exp(x) - 1)/x whose derivative is precise near 0."""

    nargs = 1

    def fdiff(self, argindex=1):
        (x,) = self.args
        near = sp.Abs(x) < _NEAR
        series = sum((k + 1) * x**k / sp.factorial(k + 2) for k in range(9))
        away = x + _INT(near)  # nowhere 0
        return _INT(near) * series + _INT(sp.Not(near)) * (
            (sp.exp(x) - _Exprel(x)) / away
        )


# What stands for a function of Brian2 while it is differentiated.
_BETTER = (
    (sp.Function("clip"), _Clip),
    (exprel, _Exprel),
    (sp.Function("sqrt"), sp.sqrt),
)


def symbol(name):
    """Return a name as Brian2's algebra has it."""
    clock = {"positive": True} if name in ("t", "dt") else {}
    return sp.Symbol(name, real=True, **clock)


def parse(code):
    """Return straight-line code as a list of (name, expression).

    Parameters
    ----------
    code : str
        Assignments, also ``+=``, ``-=``, ``*=`` and ``/=``, on lines of their own or
        separated by semicolons.
    """
    statements = []
    for line in re.split(r"[;\n]", code):
        line = line.split("#")[0]
        if not line.strip():
            continue
        found = _STATEMENT.fullmatch(line)
        if found is None:
            raise ValueError(f"{line.strip()!r} is no assignment.")
        name, value = found["name"], str_to_sympy(found["value"])
        if found["op"]:
            old = symbol(name)
            value = {
                "+": old + value,
                "-": old - value,
                "*": old * value,
                "/": old / value,
            }[found["op"]]
        statements.append((name, value))
    return statements


def algebra_of(text, argument):
    """Return an expression of the user's as algebra.

    Raises
    ------
    ValueError
        If it divides by 0, whatever its names stand for, or is no arithmetic.
    """
    try:
        value = sp.sympify(str_to_sympy(text))
    except (SyntaxError, TypeError, ValueError) as error:
        raise ValueError(
            f"'{argument}': {text!r} is no expression ({error})."
        ) from error
    if value.has(sp.zoo, sp.nan, sp.oo, -sp.oo):
        raise ValueError(f"'{argument}': {text!r} is not finite.")
    if isinstance(value, sp.Expr) and value.atoms(BooleanAtom):
        raise ValueError(f"'{argument}': {text!r} calculates with True or False.")
    return value


def render(expression):
    """Return an expression as text for Brian2."""
    return sympy_to_str(sp.sympify(expression))


def code_of(statements):
    """Return straight-line code as text for Brian2."""
    return "\n".join(f"{name} = {render(value)}" for name, value in statements)


def derivative(expression, name):
    """Return the derivative with respect to a name.

    Raises
    ------
    ValueError
        If it contains a function of that name whose derivative is not known.
    """
    by = symbol(name)
    if not expression.has(by):
        return sp.Integer(0)
    hidden = {
        node: sp.Dummy(real=True)
        for node in sp.preorder_traversal(expression)
        if isinstance(node, _STEPS) or node.func.__name__ in _STEP_NAMES
    }
    smooth = expression.xreplace(hidden)
    for known, better in _BETTER:
        smooth = smooth.replace(known, better)
    for node in smooth.atoms(sp.Function):
        known = isinstance(node, (_Clip, _Exprel)) or node.func in _SMOOTH
        if not known and node.has(by):
            raise ValueError(f"the derivative of {node.func.__name__!r} is not known.")
    slope = smooth.diff(by)
    for known, better in _BETTER[:2]:
        slope = slope.replace(better, known)
    return slope.xreplace({dummy: node for node, dummy in hidden.items()})


def single_assignment(statements, state, prefix="_s"):
    """Name every value of straight-line code once.

    Parameters
    ----------
    statements : list of (str, expression)
    state : sequence of str
        Variables of interest.
    prefix : str
        Of the new names.

    Returns
    -------
    statements : list of (str, expression)
    final : dict of str to expression
        What each variable of `state` is at the end.
    """
    now, named = {}, []
    for name, value in statements:
        value = value.xreplace(now)
        if not value.is_Atom:
            fresh = f"{prefix}{len(named)}_{name.strip('_')}"
            named.append((fresh, value))
            value = symbol(fresh)
        now[symbol(name)] = value
    return named, {name: now.get(symbol(name), symbol(name)) for name in state}


def pull_back(statements, seeds, wrt, prefix="_b"):
    """Return the reverse-mode derivative of straight-line code.

    Parameters
    ----------
    statements : list of (str, expression)
        Every name assigned once, as `single_assignment` leaves them.
    seeds : sequence of (expression, expression)
        Results, and the derivative of the loss with respect to each.
    wrt : sequence of str
        Names that the code reads.
    prefix : str
        Of the names of derivatives.

    Returns
    -------
    statements : list of (str, expression)
        To follow those given.
    bar : dict of str to expression
        Derivative of the loss with respect to each name of `wrt`.
    """
    bar = {}

    def add(value, seed):
        for read in sorted(value.free_symbols, key=str):
            slope = derivative(value, read.name)
            if slope != 0:
                bar[read.name] = bar.get(read.name, 0) + seed * slope

    for value, seed in seeds:
        add(sp.sympify(value), seed)
    added = []
    for name, value in reversed(statements):
        seed = sp.sympify(bar.pop(name, 0))
        if seed == 0:
            continue
        if not seed.is_Atom:
            fresh = f"{prefix}{len(added)}_{name.strip('_')}"
            added.append((fresh, seed))
            seed = symbol(fresh)
        add(value, seed)
    return added, {name: sp.sympify(bar.get(name, 0)) for name in wrt}


def push_forward(statements, results, name, prefix="_d"):
    """Return the derivative of results with respect to one name.

    Parameters
    ----------
    statements : list of (str, expression)
        Every name assigned once.
    results : sequence of expression
    name : str
        That the code reads.
    prefix : str
        Of the names of derivatives.

    Returns
    -------
    statements : list of (str, expression)
        To follow those given.
    slopes : list of expression
        Of each result.
    """
    dot, added = {name: sp.Integer(1)}, []

    def slope_of(value):
        terms = (
            derivative(value, read.name) * dot[read.name]
            for read in sorted(value.free_symbols, key=str)
            if read.name in dot
        )
        return sp.Add(*terms)

    for assigned, value in statements:
        slope = slope_of(value)
        if slope == 0:
            continue
        fresh = f"{prefix}{len(added)}_{assigned.strip('_')}"
        added.append((fresh, slope))
        dot[assigned] = symbol(fresh)
    return added, [slope_of(sp.sympify(result)) for result in results]


def prune(statements, results):
    """Return the statements that some results need, in their order."""
    needed = {s.name for result in results for s in sp.sympify(result).free_symbols}
    kept = []
    for name, value in reversed(statements):
        if name in needed:
            kept.append((name, value))
            needed |= {s.name for s in value.free_symbols}
    return kept[::-1]
