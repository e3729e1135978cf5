"""Kernels: C++ that is compiled once and called from Python."""

import ctypes
import functools
import re
from pathlib import Path

from .builds import build_once, compiler, fingerprint, run_tool, sanitize_flags
from .errors import BackendUnavailable

# Kernels are loaded into Python, so never -ffast-math: linked with it, a library
# switches the whole process to flush-to-zero. These flags vectorise as well.
KERNEL_FLAGS = (
    "-std=c++17 -O3 -march=native -fno-math-errno -fno-trapping-math -fPIC -shared"
).split()
_C_TYPES = {"double": ctypes.c_double, "int64_t": ctypes.c_int64}


@functools.cache
def load_kernel(source: Path) -> ctypes.CDLL:
    """Compile a C++ file with ``extern "C"`` functions, or take it from the cache.

    Parameters
    ----------
    source : Path
        What it includes lies beside it.

    Returns
    -------
    library : ctypes.CDLL
        Its functions run without the interpreter lock, so Python threads run them
        side by side.

    Raises
    ------
    BackendUnavailable
        If there is no compiler.
    BuildError
        If the compiler refuses the source.
    """
    files = [source, *sorted(source.parent.glob("*.h"))]
    name = f"{source.stem}.so"

    def make(folder):
        command = [*compiler(), *KERNEL_FLAGS, *sanitize_flags()]
        command += [str(source.absolute()), "-o", name]
        run_tool(command, f"compiling {source.name} failed.", folder)

    if sanitize_flags() and not hasattr(ctypes.CDLL(None), "__asan_init"):
        raise BackendUnavailable(
            "BSNN_SANITIZE is set, and then Python must be started with the library of "
            "the sanitizers in LD_PRELOAD, as `make sanitize` does."
        )
    key = fingerprint(source.name, *(f.read_bytes() for f in files), *KERNEL_FLAGS)
    folder = build_once("kernels", key, make, product=name)
    return ctypes.CDLL(str(folder / name))


@functools.cache
def struct(source: Path, name: str) -> type[ctypes.Structure]:
    """Return a struct of plain numbers and pointers as its C++ text declares it.

    The members of a pointer's type take an address.

    Raises
    ------
    ValueError
        If the text holds no such struct, or a member of another kind.
    """
    text = re.sub(r"//.*", "", source.read_text("utf-8"))
    body = re.search(rf"struct {name} {{(.*?)}};", text, re.DOTALL)
    if body is None:
        raise ValueError(f"{source.name} declares no struct {name}.")
    fields = []
    for declaration in filter(None, map(str.strip, body[1].split(";"))):
        of, members = declaration.removeprefix("const ").split(maxsplit=1)
        for member in map(str.strip, members.split(",")):
            field, kind = member.removeprefix("*"), _C_TYPES.get(of)
            if field != member:
                kind = ctypes.c_void_p
            if kind is None or not field.isidentifier():
                raise ValueError(f"{source.name}: {of} {member} is no plain number.")
            fields.append((field, kind))
    return type(name, (ctypes.Structure,), {"_fields_": fields})
