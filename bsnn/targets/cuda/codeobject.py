"""Code objects as functions of a GPU's threads, by Brian2's C++ generator."""

from brian2.devices.cpp_standalone.codeobject import CPPStandaloneCodeObject

from bsnn.targets.cpp.codeobject import SPELLING, loop


def shared_loop(kind, index, end, start=0):
    """Return the head of a loop whose turns the threads of a block share."""
    return (
        f"for ({kind} {index} = {start} + threadIdx.x; {index} < {end}; "
        f"{index} += blockDim.x)"
    )


def of_block(pointers):
    """Return definitions of pointers to arrays, which a block has of its own."""
    lines = [pointers] if isinstance(pointers, str) else pointers
    return "\n".join(lines).replace("= _array", "= _own._array")


# What the templates of C++ say in another way here.
_SPELLING = {
    "kept": lambda code: code if isinstance(code, str) else "\n".join(code),
    "of_block": of_block,
    "arrays": "_own.",
    "here": "_own.",
    "each": shared_loop,
    "in_turn": loop,
    "block": 1,
    "each_block": shared_loop("int64_t", "{0}", "{1}").format,
    "apart": "",
    "collect": "{0} = _own.sum({0});".format,
    "leads": "threadIdx.x == 0",
    "meet": "__syncthreads();",
    # Of each pair, since pairs of a neuron may share a weight.
    "gathered_by": "_pair",
}


class CudaGraphCodeObject(CPPStandaloneCodeObject):
    """C++ standalone code that prefers the templates of this package to C++'s."""

    templater = CPPStandaloneCodeObject.templater.derive(
        ("bsnn.targets.cuda", "bsnn.targets.cpp"),
        templates_dir=("graph_templates", "templates"),
        env_globals={**SPELLING, **_SPELLING},
    )
