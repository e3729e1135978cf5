"""What determines the program of a `Network`, as text: the same for every target."""

import json

from bsnn.delays import OF_CONNECTION, OF_SOURCE, OF_SYNAPSE
from bsnn.equations.estimators import StraightThrough


def specify(network, *, precision, learn, estimator=None):
    """Return what determines a program, beside sources and compiler: JSON.

    Texts and graph; every number of the network is data of the program.
    """
    values = network.to_dict()
    for population, part in zip(
        values["populations"], network.populations, strict=True
    ):
        if "neuron" in population:
            # One program for any values: their kinds are in the equations.
            population["texts"] = part.neuron.texts
            population["neuron"] = dict(
                population["neuron"],
                parameters=_kinds(population["neuron"]["parameters"]),
                initial={},
            )
    for connection in values["connections"]:
        if connection["pattern"]:  # data of the program, too
            connection["pattern"] = {"i": [0], "j": [0], "weight": [0]}
    for connection, part in zip(
        values["connections"], network.connections, strict=True
    ):
        connection["delay"] = part.delay_of
    values |= {"dt": 1e-3, "duration": 1.0}
    estimator = (estimator or StraightThrough()).program
    options = {"precision": precision, "learn": learn, "estimator": estimator}
    return json.dumps({"network": values, "options": options}, sort_keys=True)


def _kinds(parameters):
    """Return stand-ins for the values of parameters, no two alike."""
    kinds = {}
    for k, (name, given) in enumerate(sorted(parameters.items()), start=1):
        alone = not isinstance(given["value"], list)
        kinds[name] = {**given, "value": float(k) if alone else [float(k)]}
    return kinds


def read_specification(specification):
    """Return the network, with stand-ins for its numbers, and the options."""
    from bsnn.network import Network

    values = json.loads(specification)
    for population in values["network"]["populations"]:
        size = population["size"]
        for given in population.get("neuron", {}).get("parameters", {}).values():
            if isinstance(given["value"], list):
                given["value"] = given["value"] * size
    sizes = {p["name"]: p["size"] for p in values["network"]["populations"]}
    for connection in values["network"]["connections"]:
        n_pre, n_post = sizes[connection["source"]], sizes[connection["target"]]
        pairs = [0.0] if connection["pattern"] else [[0.0] * n_post] * n_pre
        connection["delay"] = {
            OF_CONNECTION: 0.0,
            OF_SOURCE: [[0.0]] * n_pre,
            OF_SYNAPSE: pairs,
        }[connection["delay"]]
    return Network.from_dict(values["network"]), values["options"]
