"""Other libraries on the recurrent network of `bsnn.training.bench.recurrent`.

Each peer is a file of that name, whose ``make(case)`` returns what those of
`bsnn.training.bench.peers` return; its loss is that of `ReadoutLoss`. What does not
depend on recurrence is taken out of the loop over time: the products with the input and
output weights, and the integrators, which are linear, by their response.

Norse and Spyx have neurons whose threshold adapts. snnTorch and SpikingJelly have none
with a synaptic current: theirs keep the threshold at which ours settles on average,
which makes about as many spikes and less work.
"""

from bsnn.training.bench.peers import run_case


def run_recurrent_peer(
    name,
    network,
    weights,
    inputs,
    labels,
    *,
    settled,
    learning_rate,
    n_threads,
    repeats,
):
    """Time a peer on one batch of a recurrent network.

    Parameters
    ----------
    name : str
        One of `PEERS`.
    network : Network
        Of populations "hidden", ALIF, and "out", integrators of the same constants.
    weights : sequence of ndarray
        Of the input, within the hidden population, and of the output.
    inputs : Spikes
    labels : ndarray, shape (n_samples,), int
    settled : float
        Threshold of neurons that cannot adapt.
    learning_rate : float
        Of Adam.
    n_threads : int
    repeats : int
        Timed calls, after one that is not.

    Returns
    -------
    result : dict
        As of `run_peer`; `spikes` of the hidden population.

    Raises
    ------
    BackendUnavailable
        If the library is not installed.
    ProgramError
        If it fails.
    """
    neuron = network.named["hidden"].neuron
    case = {
        "tau": [float(neuron.values[n]) for n in ("tau_mem", "tau_syn", "tau_a")],
        "beta": float(neuron.values["beta"]),
        "settled": settled,
        "dt": network.dt_seconds,
        "n_steps": network.n_steps,
        "learning_rate": learning_rate,
        "n_threads": n_threads,
        "repeats": repeats,
        "device": "cpu",
    }
    return run_case(name, case, weights, inputs, labels, family="recurrent")
