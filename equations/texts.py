"""Expressions and statements that a user writes: what is one, and what a name means.

A text may come from a file that nobody vouches for, so only arithmetic, comparisons
and calls of known functions get past these checks; nothing is evaluated.
"""

import ast
import re

_ALLOWED = (
    ast.Expression,
    ast.BinOp,
    ast.UnaryOp,
    ast.BoolOp,
    ast.Compare,
    ast.Call,
    ast.Name,
    ast.Constant,
    ast.operator,
    ast.unaryop,
    ast.boolop,
    ast.cmpop,
    ast.expr_context,
)
_LONGEST = 10_000  # characters of a text


def check_expression(text, known, argument, within=None):
    """Raise ValueError unless a text is an expression of known names.

    Parameters
    ----------
    text : str
    known : set of str
        Names of variables, parameters, functions, units and constants.
    argument : str
        Where it was given, for the error message.
    within : str, optional
        The user's whole text, of which a line is shown; `text` unless given.
    """
    within = text if within is None else within
    if len(within) > _LONGEST:
        raise ValueError(f"'{argument}' is longer than {_LONGEST} characters.")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = getattr(error, "msg", None) or error
        raise ValueError(
            f"'{argument}': {text!r} is no expression ({reason})."
        ) from error
    for node in ast.walk(tree):
        number = not isinstance(node, ast.Constant) or isinstance(
            node.value, (bool, int, float)
        )
        call = not isinstance(node, ast.Call) or (
            isinstance(node.func, ast.Name) and not node.keywords
        )
        if not (isinstance(node, _ALLOWED) and number and call):
            shown = ast.unparse(node)
            raise ValueError(
                f"'{argument}' may hold arithmetic, comparisons and functions, got "
                f"{shown!r}.\n" + pointing(within, shown)
            )
        if isinstance(node, ast.Name) and node.id not in known:
            what = "function" if f"{node.id}(" in text.replace(" ", "") else "name"
            raise ValueError(
                f"'{argument}' uses the {what} {node.id!r}, which is not known; "
                "give it in 'parameters', or in 'currents' if it comes with the "
                "samples.\n" + pointing(within, node.id)
            )


def split_statements(text, argument):
    """Return (name, expression) of each assignment of a text, ``+=`` included.

    Raises
    ------
    ValueError
        If a line is no assignment.
    """
    split = []
    for line in re.split(r"[;\n]", text):
        line = line.split("#")[0].strip()
        if not line:
            continue
        found = re.fullmatch(r"([A-Za-z_]\w*)\s*[-+*/]?=(?!=)\s*(.+)", line)
        if found is None:
            raise ValueError(
                f"'{argument}': {line!r} is no assignment, such as 'v = 0' or "
                "'v -= 1'.\n" + pointing(text, line)
            )
        split.append(found.groups())
    return split


def pointing(text, word):
    """Return the line of a text that has a word, and a caret below the word."""
    for line in text.splitlines():
        found = re.search(rf"(?<!\w){re.escape(word)}(?!\w)", line)
        if found:
            return f"{line}\n{' ' * found.start()}^"
    return text
