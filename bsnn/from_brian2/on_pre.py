"""What a spike does, in the words of ``Synapses`` and in those of a `Connection`."""

import re
from dataclasses import dataclass

import numpy as np
from brian2.core.namespace import DEFAULT_UNITS
from brian2.parsing.statements import parse_statement
from brian2.units.fundamentalunits import get_dimensions
from brian2.utils.stringtools import get_identifiers

from bsnn.equations.synapse import WEIGHT

from .names import (
    Renamed,
    constants,
    literal,
    names_outside,
    plain_text,
    with_dimension,
)
from .refusal import refusal

_ADDS = {"+=": "{}", "-=": "-({})"}


@dataclass(frozen=True)
class OnPre:
    """An ``on_pre``, and what is its weight.

    Attributes
    ----------
    text : str
        For a `Connection`: the weight is called w, constants are numbers.
    targets : tuple of str
        Variables that it adds to.
    variable : str or None
        Of the synapses, that is the weight.
    constant : str or None
        Of a namespace, that is the weight where no variable is.
    value : float or Quantity
        Of that constant, or of a number that has no name.
    """

    text: str
    targets: tuple[str, ...]
    variable: str | None = None
    constant: str | None = None
    value: object = None


def read_on_pre(synapses, code, namespace):
    """Return what a spike does, with its weight found.

    Parameters
    ----------
    synapses : Synapses
    code : str
        Of its pathway.
    namespace : Mapping
        Of the run.

    Returns
    -------
    OnPre

    Raises
    ------
    ValueError
        If it does something else than to add to the target, or nothing in it can be
        the weight.
    """
    statements = _statements(synapses, plain_text(code))
    targets, right = zip(*statements, strict=True)
    used = set().union(*map(get_identifiers, right))
    own = sorted(used & set(synapses.equations))
    texts = {name: _of_target(synapses, name) for name in used - set(own)}
    values = constants(synapses, names_outside(synapses, right), namespace)
    if len(own) > 1:
        raise refusal(
            synapses,
            f"'on_pre' reads {' and '.join(map(repr, own))}; only one variable can be "
            "the weight: multiply them into one.",
        )
    for name in own:
        _check_weight(synapses, name)
    weight = {"variable": own[0]} if own else {}
    if not own and len(values) == 1:
        ((name, value),) = values.items()
        weight = {"constant": name, "value": value}
    named = {**texts, **{name: literal(value) for name, value in values.items()}}
    named |= {name: WEIGHT for name in (*own, weight.get("constant")) if name}
    if not weight:
        value = _amount(synapses, right, values)
        return OnPre(f"{targets[0]} += {WEIGHT}", targets, value=value)
    renamed = Renamed(named)
    lines = [f"{target} += {renamed.render_expr(e)}" for target, e in statements]
    return OnPre("; ".join(lines), targets, **weight)


def _check_weight(synapses, name):
    equation = synapses.equations[name]
    if equation.type != "parameter" or equation.var_type != "float":
        kind = equation.var_type if equation.type == "parameter" else equation.type
        raise refusal(
            synapses,
            f"'on_pre' reads {name!r}, a {kind}; only a number of each synapse can be "
            f"the weight, as '{name} : 1'.",
        )


def _statements(synapses, code):
    """Return (variable of the target, what is added) of each statement."""
    found = []
    for line in re.split(r"[;\n]", code):
        if not line.split("#")[0].strip():
            continue
        name, operation, expression, _ = parse_statement(line.strip())
        if name in synapses.equations:
            raise refusal(
                synapses,
                f"'on_pre' changes {name!r} of the synapses (plasticity), which is "
                "not simulated here; keep what is constant.",
            )
        if operation not in _ADDS:
            raise refusal(
                synapses,
                f"'on_pre' does {line.strip()!r}; a spike may only add to its target, "
                f"as {name!r} += w.",
            )
        target = _of_target(synapses, name)
        found.append((target, _ADDS[operation].format(expression)))
    if not found:
        raise refusal(synapses, "'on_pre' does nothing; leave the synapses out.")
    return found


def _of_target(synapses, name):
    """Return a name as the target says it.

    Raises
    ------
    ValueError
        If it is the presynaptic neuron's.
    """
    if name not in synapses.variables:
        return name
    if name.endswith("_pre"):
        raise refusal(
            synapses,
            f"'on_pre' names {name!r} of the presynaptic neuron; a spike carries "
            "nothing but itself.",
        )
    bare = name.removesuffix("_post")
    return bare if bare in synapses.target.variables else name


def _amount(synapses, right, values):
    """Return the value of what is added, a number with its unit."""
    (first, *others) = right
    if others or get_identifiers(first) - set(DEFAULT_UNITS):
        which = f" but {', '.join(values)}" if values else ""
        raise refusal(
            synapses,
            f"'on_pre' has nothing{which} that could be its weight; give the synapses "
            "a variable, as Synapses(..., 'w : 1', on_pre='... += w*...').",
        )
    value = eval(first, {"__builtins__": {}}, dict(DEFAULT_UNITS))
    return with_dimension(np.asarray(value, float), get_dimensions(value))
