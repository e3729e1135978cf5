"""Write a model as a C++ program that stays alive, compile it once, keep it.

Brian2's device is global to a process, so the program is generated in a child process:
a user's own Brian2 code in the same interpreter is never touched.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from bsnn.builds import (
    build_once,
    compiler,
    fingerprint,
    run_python,
    run_tool,
    sanitize_flags,
)
from bsnn.errors import BuildError
from bsnn.processes.brian2_files import import_brian2

PACKAGE = Path(__file__).parents[2]
HEADERS = tuple(
    PACKAGE / name
    for name in (
        "program/native/protocol.h",
        "targets/cpp/native/prelude.h",
        "targets/cpp/native/resident.h",
    )
)
PRECISIONS = ("double", "single")
PROJECTIONS = ("dense", "synapses")
# Where loops happen to begin makes the sums of weights a third slower or faster: from
# functions on cache lines, and packed, they have been the fastest that were tried.
COMPILE_FLAGS = (
    "-w -O3 -falign-functions=64 -falign-loops=1 "
    "-ffast-math -fno-finite-math-only -march=native -std=c++17"
).split()
PRELUDE = "prelude.h"
_UNASKED = 3  # exit code of a program that nobody asks anything, as in protocol.h
# Files whose text, with the model and Brian2's version, determines the program.
_SOURCES = (
    "program/forward.py",
    "program/native/protocol.h",
    "program/projection.py",
    "targets/cpp/codeobject.py",
    "targets/cpp/native/prelude.h",
    "targets/cpp/native/resident.h",
    "targets/cpp/target.py",
    "targets/cpp/templates/dense_projection.cpp",
    "targets/cpp/templates/stateupdate.cpp",
    "targets/cpp/templates/threshold.cpp",
)


def build_program(model, *, precision="double", projection="dense"):
    """Return the folder of the model's compiled program, building it if need be.

    One program serves every dt and duration of a model.

    Parameters
    ----------
    model : Model
        With the rule "grid".
    precision : {"double", "single"}
        Of state, weights and records.
    projection : {"dense", "synapses"}
        See `bsnn.program.forward.build_network`.

    Returns
    -------
    folder : Path
        Holds the generated sources and the executable ``main``.

    Raises
    ------
    BackendUnavailable
        If there is no compiler.
    BuildError
        If generating or compiling fails; the output is attached.
    """
    specification = specify(model, precision=precision, projection=projection)
    key = fingerprint(
        specification,
        brian2_version(),
        *COMPILE_FLAGS,
        *(PACKAGE.joinpath(name).read_bytes() for name in _SOURCES),
    )

    def make(folder):
        run_python(
            "bsnn.targets.cpp.target",
            specification,
            str(folder),
            failure="generating the simulation program failed.",
            folder=folder,
        )
        failure = "compiling the simulation program failed."
        command = [*compiler(), *COMPILE_FLAGS, *sanitize_flags(), "-I."]
        command += ["-x", "c++-header", PRELUDE, "-o", f"{PRELUDE}.gch"]
        run_tool(command, failure, folder)
        # Nothing will be edited here, so no dependencies need to be found out.
        (folder / "make.deps").touch()
        # A file, because make would read the names in the command in its own way.
        command = shlex.join([*compiler(), *sanitize_flags(), "-include", PRELUDE])
        (folder / "compile").write_text(f'{command} "$@"\n', "utf-8", "surrogateescape")
        run_tool(["make", "-j2", "CXX=sh ./compile"], failure, folder)
        check_start(folder / "main")
        for leftover in (*folder.rglob("*.o"), *folder.glob("*.gch")):
            leftover.unlink()

    return build_once("programs", key, make, product="main")


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


def specify(model, **options):
    """Return what determines a program of `model`, beside sources and compiler: JSON.

    It holds every text of the neurons: with an edited one it is another program.
    """
    # Not before `import_brian2`, in a child.
    from bsnn.equations.models.cuba_lif import texts_of

    values = {
        # dt and duration are data of the program, so they are not part of its identity.
        "model": {**model.to_dict(), "dt": 1e-3, "duration": 1.0},
        "texts": [texts_of(neuron) for neuron in model.neurons],
        "options": options,
    }
    return json.dumps(values, sort_keys=True)


def read_specification(specification):
    """Return the model and the options, a dict, that `specify` was given.

    Raises
    ------
    RuntimeError
        If the neurons of this process have other texts.
    """
    from bsnn.model import Model

    values = json.loads(specification)
    model, options = Model.from_dict(values["model"]), values["options"]
    if specify(model, **options) != specification:
        raise RuntimeError(
            "bsnn's equations were edited after they were imported; start Python again."
        )
    return model, options


def brian2_version():
    from importlib.metadata import version

    return version("brian2")


def _generate(specification, folder):
    """Write the C++ project of a specification; runs in a process of its own."""
    import_brian2()
    import numpy as np
    from brian2 import device, prefs, second, set_device

    from bsnn.program.forward import build_network

    model, options = read_specification(specification)
    single = options["precision"] == "single"
    prefs.core.default_float_dtype = np.float32 if single else np.float64
    flags = [*COMPILE_FLAGS, *sanitize_flags()]
    prefs.codegen.cpp.extra_compile_args_gcc = flags
    for header in HEADERS:
        shutil.copy(header, folder)
    set_device("cpp_standalone", build_on_run=False, directory=folder)
    parts = build_network(model, projection=options["projection"])
    # The loop of resident.h takes the place of Brian2's own: it steps the same code
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
        inputs=[
            name(inputs["_timebins"]),
            name(inputs["neuron_index"]),
            f"{name(inputs['_lastindex'])}[0]",
        ],
        describe=describe,
        weights_at=name,
    )


def serve_call(parts, model, *, inputs, describe, weights_at):
    """Return the call of `bsnn::serve`, the loop of a resident program.

    `describe(group, monitor, neuron)` gives what the target's `Layer` is made of, and
    `weights_at(variable)` where it keeps the weights.
    """
    from brian2.codegen.generators.cpp_generator import c_data_type

    real = c_data_type(parts.groups[0].variables["v"].dtype)
    layers = [
        braced(describe(*of_layer))
        for of_layer in zip(parts.groups, parts.monitors, model.neurons, strict=True)
    ]
    binds = [
        f"bsnn::bind_weights(segment, at, {weights_at(projection.variables['w'])}, "
        f"{m * n});"
        for projection, (m, n) in zip(
            parts.projections, model.weight_shapes, strict=True
        )
    ]
    return f"""
    bsnn::serve<{real}>(
        {parts.network.name}, defaultclock, {", ".join(inputs)},
        {braced(layers)},
        [&](bsnn::Segment& segment, size_t at) {{ {" ".join(binds)} }});
    """


def braced(items):
    return "{" + ", ".join(items) + "}"


if __name__ == "__main__":
    _generate(*sys.argv[1:])
