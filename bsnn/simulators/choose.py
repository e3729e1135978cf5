"""Which simulator runs a model: by its time rule and the device."""

from bsnn.equations import time_rules

from .cuda import CudaSimulator
from .event import EventSimulator
from .grid import GridSimulator

DEVICES = ("cpp", "cuda")


def make_simulator(model, *, workers=None, device="cpp", **options):
    """Return the simulator of the model's rule.

    Parameters
    ----------
    model : Model
    workers : int, optional
        Processes or threads that share the batch; one per core unless given.
    device : {"cpp", "cuda"}
        "cuda" needs the rule "grid" and a GPU; nothing falls back to "cpp".
    **options
        For the rule "grid", the options of `GridSimulator` or `CudaSimulator`.
    """
    if device not in DEVICES:
        raise ValueError(
            f"'device' must be one of {', '.join(DEVICES)}, got {device!r}."
        )
    if device == "cuda":
        if model.rule != time_rules.GRID:
            raise ValueError(
                f"'device' must be 'cpp' under the rule {model.rule!r}, got 'cuda'."
            )
        kind = CudaSimulator
    elif model.rule == time_rules.GRID:
        kind = GridSimulator
    else:
        kind = EventSimulator
    return kind(model, workers=workers, **options)
