"""What the names in the texts of a Brian2 object stand for, as Brian2 finds it."""

import numpy as np
from brian2.core.functions import DEFAULT_CONSTANTS, DEFAULT_FUNCTIONS
from brian2.core.namespace import DEFAULT_UNITS
from brian2.core.variables import Constant
from brian2.parsing.rendering import NodeRenderer
from brian2.units import Quantity
from brian2.units.fundamentalunits import DIMENSIONLESS
from brian2.utils.stringtools import get_identifiers

from bsnn.equations.dimensions import unit_name

from .refusal import refusal

# Of these Brian2 takes its own, whatever a namespace says.
_BRIAN2 = {*DEFAULT_CONSTANTS, *DEFAULT_UNITS, *DEFAULT_FUNCTIONS}


def plain_text(code):
    """Return a text of Brian2, which keeps some as objects."""
    return getattr(code, "code", code)


def names_outside(owner, texts):
    """Return the names in texts that are neither the owner's nor Brian2's own."""
    found = set().union(*(get_identifiers(text) for text in texts))
    return sorted(n for n in found - _BRIAN2 if n not in owner.variables)


def looked_up(owner, names, namespace):
    """Return what Brian2 finds for each name: constants, functions or variables.

    Parameters
    ----------
    owner : Group
        Whose own namespace comes first.
    names : iterable of str
    namespace : Mapping
        Of the run.
    """
    try:
        return owner.resolve_all(names, namespace)
    except KeyError as error:
        (told,) = error.args
        raise refusal(
            owner,
            f"{told.rstrip('.')}. Give it a value in namespace={{...}}, or in that of "
            "the object.",
        ) from error


def constants(owner, names, namespace):
    """Return the value of each name as a number or Quantity.

    Raises
    ------
    ValueError
        If one has no value, or is no constant.
    """
    values = {}
    for name, found in looked_up(owner, names, namespace).items():
        if not isinstance(found, Constant):
            raise refusal(
                owner,
                f"{name!r} stands for a {type(found).__name__}, not for a number; "
                "functions of one's own have no derivative here.",
            )
        values[name] = with_dimension(np.asarray(found.value, float), found.dim)
    return values


def with_dimension(values, dimension):
    """Return SI values as a Quantity, or as they are if they have no dimension."""
    if np.ndim(values) == 0:
        values = float(values)
    return values if dimension is DIMENSIONLESS else Quantity(values, dim=dimension)


def literal(value):
    """Return a number or Quantity as an expression of Brian2, to its last digit."""
    unit = unit_name(getattr(value, "dim", DIMENSIONLESS))
    number = repr(float(np.asarray(value)))
    return f"({number})" if unit == "1" else f"({number}*{unit})"


class Renamed(NodeRenderer):
    """Writes expressions anew, with other texts in the places of names."""

    def __init__(self, texts):
        super().__init__()
        self.texts = texts

    def render_Name(self, node):
        return self.texts.get(node.id, node.id)
