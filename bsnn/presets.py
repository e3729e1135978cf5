"""What trainings are like unless told otherwise: by preset, and by data set.

The preset "default" is the best start and descent that is known, in units of each
model: see docs/results.md. "published" is that of Bacho & Chu 2023,
doi:10.1162/neco_a_01609, and of the study of the time step built on it. The networks
and rates of MNIST, EMNIST and Fashion-MNIST are theirs, too.
"""

import itertools

PRESETS = {
    "default": {"initial_drive": 4.0, "relative_slope_min": 6.0},
    "published": {"initial_drive": 0.0, "slope_min": 0.1, "validation": 0.0},
}
# Two thirds of the hidden neurons of yin-yang never fire.
_OF_DATASET = {("default", "yin-yang"): {"initial_drive": 8.0}}
# In Hz, or relative to the model: a training has one of each two.
ALTERNATIVES = (("initial_mean", "initial_drive"), ("slope_min", "relative_slope_min"))
REFERENCES = {
    "mnist": {
        "layers": (784, 800, 10),
        "v_threshold": (0.2, 1.3),
        "batch_size": 50,
        "learning_rate": 0.003,
    },
    "emnist": {
        "layers": (784, 800, 47),
        "v_threshold": (0.2, 1.3),
        "batch_size": 50,
        "learning_rate": 0.003,
        "learning_rate_factor": 0.5,
        "learning_rate_floor": 1e-4,
    },
    "fashion-mnist": {
        "layers": (784, 400, 400, 10),
        "v_threshold": (0.13, 0.45, 0.7),
        "batch_size": 5,
        "learning_rate": 0.0005,
        "learning_rate_factor": 0.5,
    },
    "digits": {
        "layers": (64, 128, 10),
        "v_threshold": (0.1, 0.2),
        "batch_size": 20,
        "learning_rate": 0.01,
    },
    "yin-yang": {
        "layers": (4, 120, 3),
        "v_threshold": (0.05, 0.3),
        "batch_size": 50,
        "learning_rate": 0.003,
    },
}
# Of a network of one's own, whatever the data.
OWN_NETWORK = {"batch_size": 50, "learning_rate": 0.003}
# Genuine EMNIST images and classes, another selection: the same settings.
REFERENCES["emnist-47class-subset"] = REFERENCES["emnist"]


# What was so before it was a setting.
_BEFORE = {
    "code": "first-spike",
    "validation": 0.0,
    "latency_weight": 0.0,
    "latency_tau_ms": 30.0,
    "max_shift": 0,
}


def preset_values(preset, dataset, given=()):
    """Return what a preset sets where neither that nor its alternative is given."""
    # A model file's runs have its name for a preset, and start as it says.
    values = PRESETS.get(preset, {}) | _OF_DATASET.get((preset, dataset), {})
    other = {name for pair in ALTERNATIVES if set(pair) & set(given) for name in pair}
    return {name: value for name, value in values.items() if name not in other}


def reference_values(dataset, changes):
    """Return what determines the reference settings of a data set with some changes.

    Raises
    ------
    ValueError
        If there is no such preset, or there are no settings for the data set and
        `changes` leave one out that has no default.
    """
    from bsnn.equations import time_rules  # imports Brian2: see settings.py
    from bsnn.equations.units import one_of

    reference = REFERENCES.get(dataset, {}) if isinstance(dataset, str) else {}
    given = {name: value for name, value in changes.items() if value is not None}
    if given.get("dt_ms") == 0:
        given.setdefault("rule", time_rules.at(0).name)
    missing = [n for n in REFERENCES["mnist"] if n not in {**reference, **given}]
    if missing:
        raise ValueError(
            f"'dataset' must be one of {', '.join(REFERENCES)}, which have networks, "
            f"got {dataset!r}; for another give {', '.join(missing)}, too, or a "
            "network of your own (--model)."
        )
    preset = one_of(given.setdefault("preset", "default"), "preset", PRESETS)
    usual = preset_values(preset, dataset, given)
    return {"dataset": dataset, **reference, **usual, **given}


def with_preset(config):
    """Return what config.json holds, even where it is older than some settings.

    Runs from before presets had the settings as published where they do not say
    otherwise; those from before validation were tested after each epoch.
    """
    config = {**_BEFORE, **config}
    if "model_file" not in config:
        config.setdefault("estimator", "straight-through")
    if "preset" in config:
        return config
    given = {name for name, value in config.items() if value is not None}
    usual = preset_values("published", None, given)
    unknown = dict.fromkeys(itertools.chain(*ALTERNATIVES))
    before = {"preset": "published", "t_max_ms": 100.0, **unknown}
    return {**before, **config, **usual}
