"""What a compiler is given of a program: its many small files, joined into few.

A code object is compiled in a tenth of the time that starting a compiler and loading
its headers takes, and Brian2 writes each of them into a file of its own.
"""

import re

_AT_LEAST = 2  # for as many cores
_CODE_OBJECTS = 32  # in a unit of a large network
_FOLDER = "code_objects/"
# All that these files do is done once: optimising their long straight lines takes long.
_ONCE = ("objects.cpp", "network.cpp", "run.cpp", "synapses_classes.cpp", "main.cpp")
_UNOPTIMISED = """\
#pragma GCC optimize ("O0")
#pragma clang optimize off
"""
_TEXT = "utf-8", "surrogateescape"  # paths may be of any bytes
_INCLUDE = re.compile(r"^\s*#\s*include.*", re.M)
_FUNCTION = re.compile(r"^\s*void (\w+)\(\);", re.M)


def write_units(folder):
    """Write the units of the sources that Brian2 has left in a folder.

    Code objects have functions of the same names: each has a namespace here.

    Returns
    -------
    names : list of str
        All files to compile, in place of those that the makefile names.
    """
    (listed,) = re.findall(r"^SRCS = (.*)$", _read(folder / "makefile"), re.M)
    sources = listed.split()
    objects = [name for name in sources if name.startswith(_FOLDER)]
    n = max(_AT_LEAST, len(objects) // _CODE_OBJECTS)
    units = {f"unit_{k}.cpp": _joined(folder, objects[k::n]) for k in range(n)}
    once = "".join(f'#include "{name}"\n' for name in _ONCE)
    units["once.cpp"] = _UNOPTIMISED + once
    for name, text in units.items():
        (folder / name).write_text(text, *_TEXT)
    others = [name for name in sources if name not in (*objects, *_ONCE)]
    return [*reversed(units), *others]  # the one that takes longest first


def _joined(folder, objects):
    included, namespaces = [], []
    for name in objects:
        header = name.replace(".cpp", ".h")
        head, begin, code = _read(folder / name).partition("namespace {")
        included += [f'#include "{header}"', *_INCLUDE.findall(head)]
        own = name.removeprefix(_FOLDER).removesuffix(".cpp")
        first = head.count("\n") + 1
        namespaces += [f'namespace {own} {{\n#line {first} "{name}"', begin + code, "}"]
        functions = _FUNCTION.findall(_read(folder / header))
        namespaces += [f"void {f}() {{ {own}::{f}(); }}" for f in functions]
    return "\n".join([*dict.fromkeys(included), *namespaces, ""])


def _read(path):
    return path.read_text(*_TEXT)
