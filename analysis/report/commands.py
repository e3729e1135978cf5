"""The commands that repeat a study."""

import shlex

import numpy as np

# Settings in config.json that 'bsnn sweep' takes as an option of the same name.
_OPTIONS = (
    "preset",
    "epochs",
    "batch_size",
    "learning_rate",
    "layers",
    "v_threshold",
    "detect",
    "max_spikes",
    "true",
    "false",
    "spike_penalty",
    "initial_mean",
    "initial_drive",
    "slope_min",
    "relative_slope_min",
    "learning_rate_factor",
    "learning_rate_epochs",
    "learning_rate_floor",
    "tau_mem_ms",
    "tau_syn_ms",
    "duration_ms",
    "t_max_ms",
    "n_train",
    "n_test",
    "precision",
    "projection",
    "device",
)


def command_lines(sweep):
    """Return the commands that repeat a sweep, one for each set of settings in it."""
    groups = {}
    for run in sweep.runs.run:
        config = sweep.configs[run]
        options = []
        for name in _OPTIONS:
            if config.get(name) is not None:
                values = np.atleast_1d(np.array(config[name], dtype=object))
                options += [f"--{name.replace('_', '-')}", *map(str, values)]
        groups.setdefault(tuple(options), []).append(config)
    lines = []
    for options, configs in groups.items():
        steps, seeds = (
            sorted({c[name] for c in configs}) for name in ("dt_ms", "seed")
        )
        # A time step of 0 means continuous time under any rule.
        rules = sorted({c["rule"] for c in configs if c["dt_ms"] > 0})
        words = ["bsnn", "sweep", sweep.dataset]
        words += ["--dt-ms", *(f"{dt:g}" for dt in steps)]
        words += ["--rules", *rules] if rules else []
        words += ["--seeds", *map(str, seeds)]
        lines.append(shlex.join([*words, *options]))
    return lines
