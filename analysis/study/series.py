"""The series of a study: runs that differ in nothing but time step and seed.

A series is named by its time rule, and by the detection, the loss, the initial weights
and the least slope too where they are not those of the run's preset ("grid + crossing",
"grid, targets 8/2", "grid, penalty 0.01", "grid, mean 0/0/0.1", "grid, slope 5"), and
by the estimator of the gradient ("grid, triangle").
"""

from bsnn.equations import time_rules
from bsnn.fields import in_short
from bsnn.run_settings import ESTIMATORS
from bsnn.settings import departures

CROSSING = " + crossing"
# Those with the loss and the start of the study, in the order of every figure.
PLAIN = (*time_rules.RULES, "grid" + CROSSING)


def rule_name(config):
    """Return how tables and figures call a run: its rule, and what is no default."""
    name = config["model_file"]["name"] if "model_file" in config else config["rule"]
    if config["detect"] == "crossing":
        name += CROSSING
    for tag, values in departures(config).items():
        named = f"{tag.replace('-', ' ')} " if tag != "estimator" else ""
        name += f", {named}{'/'.join(map(in_short, values))}"
    return name


def in_order(rules):
    """Return the series in their fixed order, before those with another loss."""
    present = set(rules)
    known = [rule for rule in PLAIN if rule in present]
    return known + sorted(present - set(known))


def is_limit(table):
    """Return which rows are the limit of small steps that others are drawn beside."""
    return (table.dt_ms == 0) & table.rule.isin(PLAIN)


def panel_rules(table):
    """Return the series in their order, without their limit where it is beside them."""
    stepped = (table.dt_ms > 0).any()
    return in_order(table.rule[~is_limit(table)] if stepped else table.rule)


def of_one_loss(runs):
    """Return the runs with the loss of the study; all, where none of ours has it.

    Whatever their estimator.
    """
    plain = runs.rule.map(_without_estimator).isin(PLAIN)
    return runs[plain] if (plain & (runs.source == "bsnn")).any() else runs


def _without_estimator(rule):
    return ", ".join(part for part in rule.split(", ") if part not in ESTIMATORS)
