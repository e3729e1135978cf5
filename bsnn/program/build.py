"""A program of a model: what determines it, made once in a child process, and kept.

Brian2's device is global to a process, so the program is generated in a child process:
a user's own Brian2 code in the same interpreter is never touched. What is generated,
and how it is compiled, is its target's: see `bsnn.targets`.
"""

import importlib.metadata
import importlib.util
import json
from pathlib import Path

from bsnn.builds import build_once, fingerprint, run_python

PACKAGE = Path(__file__).parents[1]
PRECISIONS = ("double", "single")
PROTOCOL = "program/native/protocol.h"
# Files of every target whose text, with the specification, determines the program.
_SOURCES = (
    "program/build.py",
    "program/forward.py",
    "program/projection.py",
    "program/sources.py",
    PROTOCOL,
)


def build(generator, specification, compile_in, *, sources, ingredients=()):
    """Return the folder of a compiled program, building it if need be.

    Parameters
    ----------
    generator : str
        Module whose `write_sources` a child process calls with `specification` and a
        folder, to write the sources there.
    specification : str
        What `specify` returned.
    compile_in : callable
        Makes the program ``main`` of the sources in the folder it is given.
    sources : sequence of str
        Files of the target whose text determines the program, relative to the package.
    ingredients : sequence
        What else determines it, as `fingerprint` takes it.

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
    key = fingerprint(
        specification,
        *map(importlib.metadata.version, ("brian2", "sympy")),
        *ingredients,
        *(PACKAGE.joinpath(name).read_bytes() for name in (*_SOURCES, *sources)),
        *(path.read_bytes() for path in _algebra()),
    )

    def make(folder):
        generate(generator, specification, folder)
        compile_in(folder)

    return build_once("programs", key, make, product="main")


def _algebra():
    """Return the files of `bsnn.equations`, which derive what a program computes."""
    (folder,) = importlib.util.find_spec("bsnn.equations").submodule_search_locations
    return sorted(Path(folder).rglob("*.py"))


def generate(generator, specification, folder):
    """Write the sources of a specification, in a process of their own."""
    failure = "generating the simulation program failed."
    arguments = generator, specification, str(folder)
    run_python("bsnn.program.sources", *arguments, failure=failure, folder=folder)


def specify(model, *, precision, **options):
    """Return what determines a program of `model`, beside sources and compiler: JSON.

    It holds every text of the neurons: with an edited one it is another program. One
    program serves every dt and duration of a model.

    Raises
    ------
    ValueError
        If `precision` is none of PRECISIONS.
    """
    # Not before `import_brian2`, in a child.
    from bsnn.equations.models.cuba_lif import texts_of
    from bsnn.equations.units import one_of

    options["precision"] = one_of(precision, "precision", PRECISIONS)
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


def serve_call(parts, model, *, network, inputs, describe, weights_at):
    """Return the call of `bsnn::serve`, the loop of a resident program.

    `network` is what the target's loop steps. `describe(group, monitor, neuron)` gives
    what the target's `Layer` is made of, and `weights_at(variable)` where it keeps the
    weights.
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
        {network}, defaultclock, {", ".join(inputs)},
        {braced(layers)},
        [&](bsnn::Segment& segment, size_t at) {{ {" ".join(binds)} }});
    """


def braced(items):
    return "{" + ", ".join(items) + "}"
