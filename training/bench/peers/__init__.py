"""Other libraries of spiking networks, timed on the same network and input.

Each peer is a file of that name, whose ``make(case)`` returns two functions: one
simulates the batch and returns the spikes of each layer, the other trains on it once.
It runs in a process of its own, so that its memory is its own and no two share threads.
All learn with the gradient they are made for, through a surrogate in the backward pass,
and Adam. Layers are simulated one after another, which takes the products with the
weights out of the loop over time.

The peers' constants and weights are scaled such that their neurons follow the model's
equation as closely as they offer; the spike counts say how closely. They cannot be
equal: some reset a step later, and Norse resets to zero.

The peers of recurrent networks are the files of `recurrent`, made in the same way.
"""

import importlib.util
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from bsnn.errors import BackendUnavailable, ProgramError
from bsnn.processes.children import python_command, python_environment

PEERS = ("spyx", "snntorch", "norse", "spikingjelly")


def is_installed(name):
    """Return whether the library of that name can be imported."""
    return importlib.util.find_spec(name) is not None


def check_peers(names):
    """Raise ValueError unless all `names` are of `PEERS`, installed or not."""
    for name in names:
        if name not in PEERS:
            raise ValueError(
                f"'against' must name some of {', '.join(PEERS)}, got {name!r}."
            )


def run_peer(
    name,
    model,
    weights,
    inputs,
    labels,
    *,
    learning_rate,
    target,
    n_threads,
    repeats,
    device="cpu",
):
    """Time a peer on one batch.

    Parameters
    ----------
    name : str
        One of `PEERS`.
    model : Model
        With the rule "grid" and equal time constants in all layers.
    weights : sequence of ndarray
        Weights of each layer in Hz.
    inputs : Spikes
    labels : ndarray, shape (n_samples,), int
    learning_rate : float
        Of Adam, in Hz.
    target : pair of float
        Spikes of the label's neuron and of the others.
    n_threads : int
    repeats : int
        Timed calls, after one that is not.
    device : {"cpu", "cuda"}

    Returns
    -------
    result : dict
        `forward_seconds` and `training_seconds`, one number a call; `training_cpu`,
        the seconds of all its threads in a call; `spikes`, one number a layer;
        `peak_memory` in bytes; `version`.

    Raises
    ------
    BackendUnavailable
        If the library is not installed.
    ProgramError
        If it fails.
    """
    neuron = model.neurons[0].parameters
    case = {
        "tau": [neuron["tau_mem"], neuron["tau_syn"]],
        "dt": model.dt_seconds,
        "n_steps": model.n_steps,
        "v_threshold": [n.parameters["v_threshold"] for n in model.neurons],
        "learning_rate": learning_rate,
        "target": list(target),
        "n_threads": n_threads,
        "repeats": repeats,
        "device": device,
    }
    return run_case(name, case, weights, inputs, labels)


def run_case(name, case, weights, inputs, labels, *, family=""):
    """Time a peer on a case, in a process of its own; as `run_peer`.

    Parameters
    ----------
    name : str
        One of `PEERS`.
    case : dict
        Numbers and words, ready for JSON: `n_threads`, `repeats`, `device` and what the
        `Case` of the family asks for.
    weights : sequence of ndarray
    inputs : Spikes
    labels : ndarray, shape (n_samples,), int
    family : str
        Package of the peer and its `Case`, within this one.
    """
    check_peers([name])
    if not is_installed(name):
        raise BackendUnavailable(
            f"{name} is not installed here; pip install {name}, "
            "best in an environment of its own, and repeat."
        )
    arrays = {f"weights{layer}": weight for layer, weight in enumerate(weights)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "case.npz"
        np.savez(
            path,
            case=json.dumps(case),
            sample=inputs.sample,
            step=inputs.step,
            neuron=inputs.neuron,
            labels=labels,
            **arrays,
        )
        run = subprocess.run(
            python_command("-W", "ignore", "-m", __name__, name, family, path),
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            env={
                **python_environment(),
                "JAX_PLATFORMS": case["device"],
                "OMP_NUM_THREADS": f"{case['n_threads']}",
            },
        )
    if run.returncode:
        raise ProgramError(f"{name} failed.", run.stderr[-2000:])
    return json.loads(run.stdout.splitlines()[-1])
