"""Which simulator runs a model: by its time rule and the device."""

from __future__ import annotations

from bsnn.equations.units import one_of
from bsnn.machine import DEVICES
from bsnn.model import Model
from bsnn.targets.cpp.target import CppTarget
from bsnn.targets.cuda.target import CudaTarget

from .base import Simulator
from .event import EventSimulator
from .grid import GridSimulator


def make_simulator(
    model: Model,
    *,
    device: str = "cpp",
    replicas: int | None = None,
    arch: float | None = None,
    **options,
) -> Simulator:
    """Return the simulator of the model's rule.

    Parameters
    ----------
    model : Model
    device : {"cpp", "cuda"}
        "cuda" needs the rule "grid" and a GPU; nothing falls back to "cpp".
    replicas, arch : optional
        As for `CudaTarget`; for "cuda" alone.
    **options
        `workers`, and for the rule "grid" the other options of `GridSimulator`.

    Raises
    ------
    ValueError
        If there is no such device, it does not have the model's rule, or an option is
        not its.
    """
    one_of(device, "device", DEVICES)
    if device == "cuda":
        if not model.time_rule.clock_driven:
            raise ValueError(
                f"'device' must be 'cpp' under the rule {model.rule!r}, got 'cuda'."
            )
        return GridSimulator(model, CudaTarget(replicas=replicas, arch=arch), **options)
    if not (replicas is None and arch is None):
        raise ValueError("'replicas' and 'arch' belong to the device 'cuda'.")
    if model.time_rule.clock_driven:
        return GridSimulator(model, CppTarget(), **options)
    return EventSimulator(model, **options)
