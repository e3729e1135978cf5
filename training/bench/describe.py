"""What a bench is of: the setting and the machine."""

import os

from bsnn.machine import n_cores, processor

from .measure import WARM_UP_BATCHES

MIN_REPEATS = 5


def check_repeats(repeats):
    """Raise ValueError if there are too few."""
    if repeats < MIN_REPEATS:
        raise ValueError(f"'repeats' must be {MIN_REPEATS} or more, got {repeats}.")


def benchable_model(settings, repeats):
    """Return the model, or raise ValueError unless it can be measured this often."""
    check_repeats(repeats)
    model = settings.model()
    if not model.time_rule.clock_driven:
        raise ValueError(
            f"'rule' must be 'grid' here, got {model.rule!r}; name a time step above 0."
        )
    return model


def describe_setting(settings, model, workload, repeats):
    """Return what is measured, as a report says it."""
    return {
        **settings.to_dict(),
        "dataset": workload.name,
        "workers": settings.workers or n_cores(),
        "n_steps": model.n_steps,
        "n_neurons": sum(model.layer_sizes),
        "n_synapses": sum(m * n for m, n in model.weight_shapes),
        "repeats": repeats,
        "warm_up_batches": WARM_UP_BATCHES,
    }


def describe_machine():
    """Return the processor, its cores and how busy they are."""
    return {
        "processor": processor(),
        "n_cores": n_cores(),
        "load": os.getloadavg()[0],
    }
