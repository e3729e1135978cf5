"""The commands that repeat a study."""

import shlex

import numpy as np

from bsnn.settings import SETTINGS

# Said for all runs together, or up to the machine that repeats them.
_APART = "dataset", "dt_ms", "rule", "seed", "workers", "cuda_arch", "replicas"


def command_lines(sweep):
    """Return the commands that repeat a sweep, one for each set of settings in it."""
    groups = {}
    for run in sweep.runs.run:
        config = sweep.configs[run]
        options = []
        for name, setting in SETTINGS.items():
            if name not in _APART and config.get(name) is not None:
                values = np.atleast_1d(np.array(config[name], dtype=object))
                options += [setting.option, *map(str, values)]
        if "model_file" in config:
            options += ["--model", f"{config['model_file']['name']}.py"]
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
