"""How trainings begin and descend unless told otherwise, by name.

"default" is the best that is known, in units of each model: see docs/results.md.
"published" is that of Bacho & Chu 2023, doi:10.1162/neco_a_01609, and of the study of
the time step built on it.
"""

from bsnn.equations.units import one_of

PRESETS = {
    "default": {"initial_drive": 4.0, "relative_slope_min": 6.0},
    "published": {"initial_drive": 0.0, "slope_min": 0.1},
}
# Two thirds of the hidden neurons of yin-yang never fire.
_OF_DATASET = {("default", "yin-yang"): {"initial_drive": 8.0}}
# In Hz, or relative to the model: a training has one of each two.
ALTERNATIVES = (("initial_mean", "initial_drive"), ("slope_min", "relative_slope_min"))
SHORT = {  # in names of runs
    "initial_mean": "mean",
    "initial_drive": "drive",
    "slope_min": "slope",
    "relative_slope_min": "relative-slope",
}


def preset_values(preset, dataset, given=()):
    """Return what a preset sets where neither that is given nor its alternative.

    Raises
    ------
    ValueError
        If there is no such preset.
    """
    one_of(preset, "preset", PRESETS)
    values = PRESETS[preset] | _OF_DATASET.get((preset, dataset), {})
    other = {name for pair in ALTERNATIVES if set(pair) & set(given) for name in pair}
    return {name: value for name, value in values.items() if name not in other}


def departures(values):
    """Return the settings, as in config.json, in which a run departs from its preset.

    Returns
    -------
    departures : dict of str to float or list of float
    """
    usual = preset_values(values["preset"], values["dataset"])
    return {
        name: values[name]
        for name in SHORT
        if values.get(name) not in (None, usual.get(name))
    }


def with_preset(config):
    """Return what config.json holds, also that of a run from before there were presets.

    Such a run had the settings as published where it does not say otherwise.
    """
    if "preset" in config:
        return config
    given = {name for name, value in config.items() if value is not None}
    usual = preset_values("published", None, given)
    before = {"preset": "published", "t_max_ms": 100.0, **dict.fromkeys(SHORT)}
    return {**before, **config, **usual}
