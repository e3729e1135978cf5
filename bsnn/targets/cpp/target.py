"""Programs in C++ that stay alive, one a core."""

import importlib.metadata
import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from bsnn.builds import (
    build_once,
    compiler,
    fingerprint,
    precompiles,
    run_tool,
    sanitize_flags,
)
from bsnn.errors import BuildError
from bsnn.machine import n_cores
from bsnn.program.build import (
    PACKAGE,
    PROTOCOL,
    braced,
    build,
    read_specification,
    serve_call,
    specify,
)

from .units import write_units

# Sums of weights are a third slower or faster depending on where loops begin: packed,
# in functions that start on cache lines, they were the fastest of all that were tried.
COMPILE_FLAGS = (
    "-w -O3 -falign-functions=64 -falign-loops=1 "
    "-ffast-math -fno-finite-math-only -march=native -std=c++17"
).split()
# Linked with -ffast-math, a program would flush small numbers to zero.
_COMPILE = """\
case " $* " in
*" -c "*) exec {compile} "$@";;
*) exec {link} "$@" {loop};;
esac
"""


@dataclass(frozen=True)
class Loop:
    """What all programs of a kind have in common, compiled once for all of them.

    Attributes
    ----------
    prelude : str
        The header that each of their files includes, precompiled.
    source : str
        The file that defines their loop.
    headers : tuple of str
        What both include. All are relative to the package.
    """

    prelude: str
    source: str
    headers: tuple[str, ...]

    @property
    def files(self):
        return (self.prelude, self.source, *self.headers)


_NATIVE = "targets/cpp/native"
LOOP = Loop(
    f"{_NATIVE}/chain_prelude.h",
    f"{_NATIVE}/resident.cpp",
    (PROTOCOL, *(f"{_NATIVE}/{name}.h" for name in ("prelude", "flags", "resident"))),
)
_SOURCES = (
    *LOOP.files,
    "targets/cpp/codeobject.py",
    "targets/cpp/target.py",
    "targets/cpp/units.py",
    "targets/cpp/templates/dense_projection.cpp",
    "targets/cpp/templates/stateupdate.cpp",
    "targets/cpp/templates/threshold.cpp",
)
_FAILURE = "compiling the simulation program failed."
_UNASKED = 3  # exit code of a program that nobody asks anything, as in protocol.h


@dataclass(frozen=True)
class CppTarget:
    """C++ for the cores of this machine: a program each, which share the batches."""

    one_program: ClassVar[bool] = False
    projections: ClassVar[tuple[str, ...]] = ("dense", "synapses")

    def here(self):
        """Return the target with all that this machine decides."""
        return self

    def build(self, model, *, precision="double", projection="dense"):
        """Return the folder of the model's compiled program, building it if need be.

        Parameters
        ----------
        model : Model
            With the rule "grid".
        precision : {"double", "single"}
            Of state, weights and records.
        projection : {"dense", "synapses"}
            See `bsnn.program.forward.build_network`.

        Raises
        ------
        ValueError
            If there is no such precision or projection.
        BackendUnavailable
            If there is no compiler.
        BuildError
            If generating or compiling fails; the output is attached.
        """
        # Not before `import_brian2`, in a child.
        from bsnn.equations.units import one_of

        one_of(projection, "projection", self.projections)
        return build(
            __name__,
            specify(model, precision=precision, projection=projection),
            compile_in,
            sources=_SOURCES,
            ingredients=COMPILE_FLAGS,
        )


def compile_in(folder, *, flags=COMPILE_FLAGS, loop=LOOP):
    """Make the program ``main`` of the sources that Brian2 has left in a folder."""
    common = _compile_loop(loop, flags, folder / "brianlib")
    units = " ".join(write_units(folder))
    # Nothing will be edited here, so no dependencies need to be found out.
    (folder / "make.deps").touch()
    # A file, because make would read the names in the command in its own way.
    prelude = str(common / Path(loop.prelude).name)
    script = _COMPILE.format(
        compile=shlex.join([*_compile_command(flags), "-include", prelude]),
        link=shlex.join([*compiler(), *sanitize_flags()]),
        loop=shlex.quote(str(common / "loop.o")),
    )
    (folder / "compile").write_text(script, "utf-8", "surrogateescape")
    command = ["make", f"-j{max(2, n_cores())}", "CXX=sh ./compile", f"SRCS={units}"]
    run_tool(command, _FAILURE, folder)
    check_start(folder / "main")
    for leftover in folder.rglob("*.o"):
        leftover.unlink()


def _compile_command(flags):
    return [*compiler(), *flags, *sanitize_flags()]


def _compile_loop(loop, flags, brianlib):
    """Return the folder of a loop, ``loop.o``, and its prelude, precompiled or not.

    `brianlib` holds the headers of Brian2 that a program is compiled with.
    """
    prelude, source = Path(loop.prelude).name, Path(loop.source).name
    header, code = f"{prelude}.gch", "loop.o"
    key = fingerprint(
        importlib.metadata.version("brian2"),
        *flags,
        *(PACKAGE.joinpath(name).read_bytes() for name in loop.files),
    )

    def make(folder):
        for name in loop.files:
            shutil.copy(PACKAGE / name, folder)
        shutil.copytree(brianlib, folder / "brianlib")
        command = [*_compile_command(flags), "-I."]
        if precompiles():
            arguments = ["-x", "c++-header", prelude, "-o", header]
            run_tool([*command, *arguments], _FAILURE, folder)
        arguments = ["-include", prelude, "-c", source, "-o", code]
        run_tool([*command, *arguments], _FAILURE, folder)

    product = (header, code) if precompiles() else (code,)
    return build_once("loops", key, make, product=product)


def check_start(program):
    """Raise BuildError unless a resident program starts; it ends at once, unasked."""
    environment = {k: v for k, v in os.environ.items() if k != "BSNN_SOCKET"}
    try:
        run = subprocess.run(
            [program],
            cwd=program.parent,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=60,
        )
        output, code = run.stdout.decode("utf-8", "replace"), run.returncode
    except (OSError, subprocess.TimeoutExpired) as error:
        output, code = str(error), None
    if code != _UNASKED or "BSNN_SOCKET" not in output:
        raise BuildError(
            f"the program was compiled but does not start (exit code {code}); if the "
            "build cache forbids programs, name another folder in BSNN_CACHE.",
            output,
        )


def write_sources(specification, folder):
    """Write the C++ project of a specification; runs in a process of its own."""
    import numpy as np
    from brian2 import device, prefs, second, set_device

    from bsnn.program.forward import build_network

    from .codeobject import BsnnCodeObject

    model, options = read_specification(specification)
    single = options["precision"] == "single"
    prefs.core.default_float_dtype = np.float32 if single else np.float64
    prefs.codegen.cpp.extra_compile_args = []  # `compile_in` has them
    set_device("cpp_standalone", build_on_run=False, directory=folder)
    parts = build_network(model, BsnnCodeObject, projection=options["projection"])
    # The loop of resident.cpp takes the place of Brian2's own: it steps the same code
    # objects in the same order, so the run that follows it lasts no time.
    device.insert_code("before_network_run", _serving_code(device, parts, model))
    parts.network.run(0 * second, namespace={})
    device.build(directory=folder, compile=False, run=False)


def _serving_code(device, parts, model):
    from bsnn.program.forward import kept_variables

    def name(variable):
        return device.get_array_name(variable, access_data=False)

    def describe(group, monitor, neuron):
        return [
            name(monitor.variables["i"]),
            name(monitor.variables["t"]),
            f"{name(monitor.variables['N'])}[0]",
            braced(f"&{name(monitor.variables[v])}" for v in neuron.state),
            braced(name(group.variables[v]) for v in kept_variables(group)),
            str(len(group)),
        ]

    inputs = parts.inputs.variables
    return serve_call(
        parts,
        model,
        network=f"bsnn::codes_of({parts.network.name}.objects)",
        inputs=[
            name(inputs["_timebins"]),
            name(inputs["neuron_index"]),
            f"{name(inputs['_lastindex'])}[0]",
        ],
        describe=describe,
        weights_at=name,
    )
