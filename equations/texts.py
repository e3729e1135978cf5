"""Expressions and statements that a user writes: what is one, and what a name means.

A text may come from a file that nobody vouches for, so only arithmetic, comparisons
and calls of known functions get past these checks; nothing is evaluated.
"""

import ast
import contextlib
import math
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
# What algebra would take minutes for, or forever.
_DEEPEST = 100  # operations and functions within each other
_MOST_TERMS = 1000  # of an expression that is multiplied out
_HIGHEST = 100  # exponent
_POWER = r"-?\s*\d{1,2}(\.\d*)?"  # in a unit


def check_equations(text):
    """Raise ValueError where equations are longer than Brian2's parser can bear.

    It evaluates units and simplifies expressions as it reads them: 9**9**9 would take
    forever.
    """
    if len(text) > _LONGEST:
        raise ValueError(f"'equations' are longer than {_LONGEST} characters.")
    before, *after = re.sub(r"#.*", "", text).split(":")
    for part in (before, *after):  # a unit, and the next variable and expression
        _, _, expression = part.partition("=")
        with contextlib.suppress(SyntaxError):  # which the parser itself explains
            count_terms(" ".join(expression.split()) or "0", "equations", {})
    for part in after:
        unit = part.split("\n")[0].split("(")[0].strip()
        powers = unit.split("**")[1:]
        ends = [r"[*/]"] * (len(powers) - 1) + [r"([*/]|$)"]
        if not all(
            re.match(rf"\s*{_POWER}\s*{end}", power)
            for power, end in zip(powers, ends, strict=False)
        ):
            raise ValueError(
                f"'equations': {unit!r} is no unit: an exponent must be a number below "
                "100.\n" + pointing(text, unit)
            )


def count_terms(text, argument, sizes):
    """Return how many terms an expression has when it is multiplied out.

    Parameters
    ----------
    text : str
    argument : str
        Where it was given, for the error message.
    sizes : dict of str to int
        Terms of what is substituted for a name.

    Raises
    ------
    ValueError
        If there are more than a thousand, or an exponent is larger than a hundred, or
        operations are within each other as deep.
    SyntaxError
        If it is no expression.
    """

    def count(node):
        parts = [
            count(n) for n in ast.iter_child_nodes(node) if isinstance(n, ast.expr)
        ]
        if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Mult, ast.Div)):
            terms = math.prod(parts)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
            terms = _terms_of_power(parts[0], _number(node.right), argument)
        elif isinstance(node, ast.Call):
            terms = 1  # each argument is checked by itself
        elif isinstance(node, ast.Name):
            terms = sizes.get(node.id, 1)
        else:
            terms = max(1, sum(parts))
        if terms > _MOST_TERMS:
            raise ValueError(
                f"'{argument}' has more than {_MOST_TERMS} terms when it is "
                f"multiplied out: {ast.unparse(node)[:200]!r}."
            )
        return terms

    return count(_parsed(text, argument))


def _terms_of_power(terms, exponent, argument):
    if exponent is None:
        return terms
    if not abs(exponent) <= _HIGHEST:
        raise ValueError(
            f"'{argument}' has an exponent larger than {_HIGHEST}; write "
            "it as exp(...)."
        )
    whole = math.ceil(abs(exponent))
    return math.comb(whole + terms - 1, whole)


def _number(node):
    """Return what an exponent without names is; infinite if it has powers itself."""
    if any(isinstance(n, (ast.Name, ast.Call)) for n in ast.walk(node)):
        return None
    if isinstance(node, ast.Constant):
        return float(node.value) if _is_finite(node.value) else math.inf
    parts = [_number(n) for n in ast.iter_child_nodes(node) if isinstance(n, ast.expr)]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        return parts[0]  # whose size counts
    if isinstance(node, ast.BinOp) and isinstance(
        node.op, (ast.Add, ast.Sub, ast.Mult)
    ):
        one, other = map(abs, parts)
        return one * other if isinstance(node.op, ast.Mult) else one + other
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and parts[1]:
        return parts[0] / parts[1]
    return math.inf


def _is_finite(number):
    try:
        return math.isfinite(number)
    except (OverflowError, TypeError):
        return False


def _parsed(text, argument):
    try:
        tree = ast.parse(text.strip(), mode="eval")
        deep = _depth(tree) > _DEEPEST
    except (RecursionError, MemoryError):
        deep = True
    if deep:
        raise ValueError(
            f"'{argument}' has more than {_DEEPEST} operations within each other; "
            "give a part of it a name as a subexpression."
        )
    return tree


def _depth(tree):
    depth, level = 0, [tree]
    while level:
        depth += 1
        level = [n for node in level for n in ast.iter_child_nodes(node)]
    return depth


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
        tree = _parsed(text, argument)
    except SyntaxError as error:
        reason = getattr(error, "msg", None) or error
        raise ValueError(
            f"'{argument}': {text!r} is no expression ({reason})."
        ) from error
    for node in ast.walk(tree):
        number = not isinstance(node, ast.Constant) or isinstance(
            node.value, (bool, int, float)
        )
        if isinstance(node, ast.Constant) and number and not _is_finite(node.value):
            raise ValueError(f"'{argument}' has a number that is too large.")
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
