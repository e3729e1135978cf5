"""Other libraries on the AdEx network of `bsnn.training.bench.neurons`.

Each peer is a file of that name, as those of `bsnn.training.bench.peers`, and has their
loss. Of those libraries Norse alone has AdEx neurons.
"""

import importlib.util

from brian2.units import mV, nA, nS, second

from bsnn.errors import BackendUnavailable
from bsnn.training.bench.peers import run_case


def run_adex_peer(
    name, network, weights, inputs, labels, *, learning_rate, target, n_threads, repeats
):
    """Time a peer on one batch of AdEx neurons.

    Parameters
    ----------
    name : str
        One of `PEERS`.
    network : Network
        A chain of AdEx neurons of the same constants.
    weights : sequence of ndarray
        Weights of each layer in nS.
    inputs : Spikes
    labels : ndarray, shape (n_samples,), int
    learning_rate : float
        Of Adam, in nS.
    target : pair of float
        Spikes of the label's neuron and of the others.
    n_threads : int
    repeats : int
        Timed calls, after one that is not.

    Returns
    -------
    result : dict
        As of `run_peer`.

    Raises
    ------
    BackendUnavailable
        If the library is not installed, or has no AdEx neurons.
    ProgramError
        If it fails.
    """
    if importlib.util.find_spec(f"{__name__}.{name}") is None:
        raise BackendUnavailable(f"{name} has no AdEx neurons.")
    neuron = network.groups[0].neuron
    values = {k: float(v) for k, v in neuron.values.items()}
    units = dict.fromkeys(("E_L", "V_T", "Delta_T", "E_e", "V_r"), mV)
    units |= {"b": nA, "a": nS, "g_L": nS, "tau_u": second}
    case = {
        "tau": [values["C"] / values["g_L"], values["tau_e"]],
        "adex": {k: values[k] / float(unit) for k, unit in units.items()},
        "dt": network.dt_seconds,
        "n_steps": network.n_steps,
        "v_threshold": [values["V_T"] / float(mV)] * len(network.groups),
        "learning_rate": learning_rate,
        "target": list(target),
        "n_threads": n_threads,
        "repeats": repeats,
        "device": "cpu",
    }
    return run_case(name, case, weights, inputs, labels, family="adex")
