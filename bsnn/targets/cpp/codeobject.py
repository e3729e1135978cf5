"""Code objects with the templates of this package in place of some of Brian2's."""

import functools
import re

from brian2.devices.cpp_standalone.codeobject import CPPStandaloneCodeObject

_CONSTANT = re.compile(r"\s*const (?P<type>\w+) (?P<name>\w+) = (?P<value>.*);\s*")
_DT = re.compile(r"_ptr_array_\w*clock_dt\[0\]")
_ARRAY = re.compile(r"_ptr_(\w+)\[0\]")


def kept_over_dt(code):
    """Return scalar code that is computed again only when dt has changed.

    Code that reads any other array is returned as it is, since that may change from
    step to step.

    Parameters
    ----------
    code : list of str or str
        Definitions of C++ constants.

    Returns
    -------
    code : str
    """
    text, constants = _constants(code)
    dt = _DT.search(text)
    if not (dt and all(constants)) or "_ptr_" in _DT.sub("", text):
        return text
    return _kept(constants, "double", dt[0])


def kept_over_batch(code, changing=frozenset()):
    """Return scalar code that is computed once for a batch, if no step changes it.

    Parameters
    ----------
    code : list of str or str
        Definitions of C++ constants.
    changing : set of str
        Names of arrays that change from step to step.
    """
    text, constants = _constants(code)
    if not constants or not all(constants) or changing & set(_ARRAY.findall(text)):
        return text
    return _kept(constants, "int64_t", "bsnn::generation")


def _constants(code):
    text = code if isinstance(code, str) else "\n".join(code)
    lines = [line for line in text.splitlines() if line.strip()]
    return text, [_CONSTANT.fullmatch(line) for line in lines]


def _kept(constants, kind, key):
    kept = "\n".join(f"static {c['type']} _kept_{c['name']};" for c in constants)
    assigned = "\n".join(f"    _kept_{c['name']} = {c['name']};" for c in constants)
    computed = "\n".join(f"    {c[0].strip()}" for c in constants)
    taken = "\n".join(
        f"const {c['type']} {c['name']} = _kept_{c['name']};" for c in constants
    )
    return f"""
static {kind} _kept_for = -1;
{kept}
if (_kept_for != {key}) {{
{computed}
{assigned}
    _kept_for = {key};
}}
{taken}
"""


def loop(kind, index, end, start=0):
    """Return the head of a loop over some numbers, one after another."""
    return f"for ({kind} {index} = {start}; {index} < {end}; {index}++)"


# How the templates say what is said in another way on a GPU.
SPELLING = {
    "arrays": "",  # before the name of an array
    "here": "bsnn::",  # before that of what the loop of the program tells of a step
    "each": loop,  # a loop whose turns may be taken at the same time
    "in_turn": loop,
    "block": 64,  # crossings that are looked for together
    "each_block": "for (int64_t {0} = 0; {0} < {1}; {0} += _block)".format,
    "apart": "__attribute__((noinline))",
    "collect": lambda _: "",  # makes of a sum that of all turns
    "leads": "true",  # whether to do what is to be done once
    "meet": "",  # waits until all turns are taken
    "gathered_by": "_weight",  # where dL/dw is summed
    "independent": "",
}


def _templater(kept, independent=""):
    return CPPStandaloneCodeObject.templater.derive(
        "bsnn.targets.cpp",
        templates_dir="templates",
        env_globals={**SPELLING, "kept": kept, "independent": independent},
    )


class BsnnCodeObject(CPPStandaloneCodeObject):
    """C++ standalone code that prefers the templates of this package."""

    templater = _templater(kept_over_dt)


def graph_code(changing):
    """Return the class of code objects of a network in which some arrays change.

    `changing` holds the names of scalar arrays that are not the same in every step.
    """

    class GraphCodeObject(CPPStandaloneCodeObject):
        templater = _templater(
            functools.partial(kept_over_batch, changing=frozenset(changing)),
            # No two arrays overlap, which the compiler gives up to find out.
            independent="#pragma GCC ivdep",
        )

    return GraphCodeObject
