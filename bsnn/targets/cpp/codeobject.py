"""Code objects with the templates of this package in place of some of Brian2's."""

import re

from brian2.devices.cpp_standalone.codeobject import CPPStandaloneCodeObject

_CONSTANT = re.compile(r"\s*const (?P<type>\w+) (?P<name>\w+) = (?P<value>.*);\s*")
_DT = re.compile(r"_ptr_array_\w*clock_dt\[0\]")


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
    text = code if isinstance(code, str) else "\n".join(code)
    lines = [line for line in text.splitlines() if line.strip()]
    constants = [_CONSTANT.fullmatch(line) for line in lines]
    dt = _DT.search(text)
    if not (dt and all(constants)) or "_ptr_" in _DT.sub("", text):
        return text
    kept = "\n".join(f"static {c['type']} _kept_{c['name']};" for c in constants)
    assigned = "\n".join(f"    _kept_{c['name']} = {c['name']};" for c in constants)
    computed = "\n".join(f"    {line.strip()}" for line in lines)
    taken = "\n".join(
        f"const {c['type']} {c['name']} = _kept_{c['name']};" for c in constants
    )
    return f"""
static double _kept_for = -1;
{kept}
if (_kept_for != {dt[0]}) {{
{computed}
{assigned}
    _kept_for = {dt[0]};
}}
{taken}
"""


class BsnnCodeObject(CPPStandaloneCodeObject):
    """C++ standalone code that prefers the templates of this package."""

    templater = CPPStandaloneCodeObject.templater.derive(
        "bsnn.targets.cpp",
        templates_dir="templates",
        env_globals={"kept_over_dt": kept_over_dt},
    )
