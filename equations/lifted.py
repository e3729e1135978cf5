"""What no step changes of a step's code, lifted out of it, to be computed once.

``v*exp(-dt/tau)`` has an exponential of each neuron's own tau in each step. Lifted, it
is ``v*_fixed_0``, and ``_fixed_0 = exp(-dt/tau)`` is computed when parameters or the
time step change. What all neurons share needs none of this: Brian2 takes it out itself.
"""

import ast
import functools

from brian2.core.functions import DEFAULT_FUNCTIONS

FIXED = "_fixed_"
_RANDOM = {"rand", "randn", "poisson"}


class Lifted:
    """The fixed values of a neuron, which several pieces of its code may share.

    Parameters
    ----------
    own : set of str
        Names of numbers that each neuron has for itself, and no step changes.
    shared : set of str
        Names of numbers that all neurons share, and no step changes.
    """

    def __init__(self, own: set[str], shared: set[str]):
        self._own, self._fixed = set(own), {*own, *shared}
        self._names = {}  # by expression

    @property
    def names(self) -> list[str]:
        return list(self._names.values())

    @property
    def code(self) -> str:
        """What computes the fixed values."""
        return "\n".join(f"{name} = {text}" for text, name in self._names.items())

    def of(self, code: str, *, regroup: bool = False) -> str:
        """Return code that reads fixed values in place of what it computed.

        Parameters
        ----------
        code : str
            Assignments, one a line, to names that are not fixed.
        regroup : bool
            Whether all fixed factors of a product become one. It rounds otherwise;
            unless so, nothing does.
        """
        if not self._own:
            return code
        lines = (line.strip() for line in code.splitlines())
        tree = ast.parse("\n".join(lines))
        for statement in tree.body:
            statement.value = self._without(statement.value, regroup)
        return ast.unparse(tree)

    def _without(self, node, regroup):
        if self._is_fixed(node):
            return self._named(node)
        if regroup and _is_product(node):
            return self._regrouped(node)
        return _with_parts(node, lambda part: self._without(part, regroup))

    def _regrouped(self, node):
        fixed, rest = [], []
        for side in _factors(node):
            fixed.append([x for x in side if self._is_fixed(x)])
            rest.append([x for x in side if not self._is_fixed(x)])
        factor = _product(*fixed)
        if not self._own & _names(factor):
            return _with_parts(node, lambda part: self._without(part, regroup=True))
        above, below = ([self._without(x, regroup=True) for x in side] for side in rest)
        return _product([*above, self._named(factor)], below)

    def _named(self, node):
        """Return a fixed node, or the name of its value, if each neuron has another."""
        if not self._own & _names(node) or isinstance(node, ast.Name):
            return node
        text = ast.unparse(node)
        name = self._names.setdefault(text, f"{FIXED}{len(self._names)}")
        return ast.Name(name, ast.Load())

    def _is_fixed(self, node):
        called = {x.func for x in ast.walk(node) if isinstance(x, ast.Call)}
        names = (x for x in ast.walk(node) if isinstance(x, ast.Name))
        return all(
            x.id in DEFAULT_FUNCTIONS and x.id not in _RANDOM
            if x in called
            else x.id in self._fixed
            for x in names
        )


def _names(node):
    return {x.id for x in ast.walk(node) if isinstance(x, ast.Name)}


def _with_parts(node, change):
    """Change the expressions that a node is made of."""
    for field, part in ast.iter_fields(node):
        if isinstance(part, ast.expr):
            setattr(node, field, change(part))
        elif isinstance(part, list):
            found = [change(x) if isinstance(x, ast.expr) else x for x in part]
            setattr(node, field, found)
    return node


def _is_product(node):
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div)


def _factors(node):
    """Return the factors of a product, above and below the line."""
    if not _is_product(node):
        return [node], []
    above, below = _factors(node.left)
    more, less = _factors(node.right)
    if isinstance(node.op, ast.Div):
        more, less = less, more
    return above + more, below + less


def _product(above, below=()):
    """Return the product of some factors over that of others."""
    times = functools.partial(_joined, ast.Mult())
    top = functools.reduce(times, above) if above else ast.Constant(1)
    return _joined(ast.Div(), top, functools.reduce(times, below)) if below else top


def _joined(op, left, right):
    return ast.BinOp(left, op, right)
