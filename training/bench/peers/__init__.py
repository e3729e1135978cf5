"""Other libraries of spiking networks, timed on the same network and input.

Each peer runs in a process of its own, started from this file by `run_peer`, so that
its memory is its own and no two share threads. All learn with the gradient they are
made for, through a surrogate in the backward pass, and Adam. Layers are simulated one
after another, which takes the products with the weights out of the loop over time.

The peers' constants and weights are scaled such that their neurons follow the model's
equation as closely as they offer; the spike counts say how closely. They cannot be
equal: some reset a step later, and Norse resets to zero.
"""

import importlib.metadata
import importlib.util
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

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
        `forward_seconds` and `training_seconds`, one number a call; `spikes`, one
        number a layer; `peak_memory` in bytes; `version`.

    Raises
    ------
    BackendUnavailable
        If the library is not installed.
    ProgramError
        If it fails.
    """
    from bsnn.errors import BackendUnavailable, ProgramError

    check_peers([name])
    if not is_installed(name):
        raise BackendUnavailable(
            f"{name} is not installed here; pip install {name}, "
            "best in an environment of its own, and repeat."
        )
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
        # -P: the files beside this one must not hide the peers' own imports.
        run = subprocess.run(
            [sys.executable, "-P", "-W", "ignore", __file__, name, path],
            capture_output=True,
            text=True,
            env={
                **os.environ,
                "JAX_PLATFORMS": device,
                "OMP_NUM_THREADS": f"{n_threads}",
            },
        )
    if run.returncode:
        raise ProgramError(f"{name} failed.", run.stderr[-2000:])
    return json.loads(run.stdout.splitlines()[-1])


class _Case:
    """What the parent sent, as the arrays that all peers take."""

    def __init__(self, path):
        with np.load(path) as arrays:
            self.__dict__.update(json.loads(str(arrays["case"])))
            n_layers = len(self.v_threshold)
            self.weights = [arrays[f"weights{layer}"] for layer in range(n_layers)]
            self.labels = arrays["labels"]
            n_inputs, n_outputs = self.weights[0].shape[0], self.weights[-1].shape[1]
            shape = (self.n_steps, len(self.labels), n_inputs)
            self.inputs = np.zeros(shape, np.float32)
            self.inputs[arrays["step"], arrays["sample"], arrays["neuron"]] = 1
        tau_mem, tau_syn = self.tau
        self.mem_decay = float(np.exp(-self.dt / tau_mem))
        self.syn_decay = float(np.exp(-self.dt / tau_syn))
        # How much of i_syn reaches v in a step.
        kappa = tau_mem * tau_syn / (tau_mem - tau_syn)
        self.gain = kappa * (self.mem_decay - self.syn_decay)
        true, false = self.target
        self.targets = np.full((len(self.labels), n_outputs), false, np.float32)
        self.targets[np.arange(len(self.labels)), self.labels] = true


def _spyx(case):
    import jax
    import jax.numpy as jnp
    import optax
    import spyx.nn as snn
    from flax import nnx
    from spyx.optimize import make_train_step

    class Network(nnx.Module):
        def __init__(self):
            scaled = [jnp.asarray(case.gain * w, jnp.float32) for w in case.weights]
            self.weights = nnx.List([nnx.Param(w) for w in scaled])
            self.neurons = nnx.List(
                [
                    snn.CuBaLIF(
                        (weight.shape[1],),
                        alpha=case.syn_decay,
                        beta=case.mem_decay,
                        threshold=threshold,
                        rngs=nnx.Rngs(0),
                    )
                    for weight, threshold in zip(scaled, case.v_threshold, strict=True)
                ]
            )

        def __call__(self, spikes):
            layers = []
            for weight, neuron in zip(self.weights, self.neurons, strict=True):
                spikes, _ = snn.run(neuron, spikes @ weight[...])
                layers.append(spikes)
            return layers

    def loss(network, spikes):
        error = network(spikes)[-1].sum(0) - targets
        return 0.5 * (error**2).sum() / len(targets)

    network, inputs = Network(), jnp.asarray(case.inputs)
    targets = jnp.asarray(case.targets)
    optimizer = nnx.Optimizer(
        network, optax.adam(case.learning_rate * case.gain), wrt=nnx.Param
    )
    step = make_train_step(loss)
    counts = nnx.jit(lambda network, spikes: [s.sum() for s in network(spikes)])
    return (
        lambda: [int(c) for c in counts(network, inputs)],
        lambda: jax.block_until_ready(step(network, optimizer, inputs)),
    )


def _snntorch(case):
    import snntorch
    import torch

    def layer(threshold):
        neuron = snntorch.Synaptic(
            alpha=case.syn_decay, beta=case.mem_decay, threshold=threshold
        ).to(case.device)

        def run(currents):
            syn, mem = (torch.zeros_like(currents[0]) for _ in range(2))
            spikes = []
            for current in currents:
                spike, syn, mem = neuron(current, syn, mem)
                spikes.append(spike)
            return torch.stack(spikes)

        return run

    return _in_torch(case, layer, case.gain)


def _norse(case):
    import torch
    from norse.torch import LIFParameters
    from norse.torch.functional.lif import LIFFeedForwardState, lif_feed_forward_step

    tau_mem, tau_syn = case.tau
    step = torch.compile(lif_feed_forward_step)

    def layer(threshold):
        parameters = LIFParameters(
            tau_mem_inv=torch.as_tensor(1 / tau_mem, device=case.device),
            tau_syn_inv=torch.as_tensor(1 / tau_syn, device=case.device),
            v_th=torch.as_tensor(threshold, device=case.device),
        )

        # Norse's own loop over time takes the steps by index, whose gradient is four
        # times as slow as that of an iteration.
        def run(currents):
            state = LIFFeedForwardState(*(torch.zeros_like(currents[0]),) * 2)
            spikes = []
            for current in currents:
                spike, state = step(current, state, parameters, case.dt)
                spikes.append(spike)
            return torch.stack(spikes)

        return run

    return _in_torch(case, layer, tau_mem)


def _spikingjelly(case):
    import torch
    from spikingjelly.activation_based import functional, neuron

    def layer(threshold):
        node = neuron.CUBALIFNode(
            c_decay=case.syn_decay,
            v_decay=case.mem_decay,
            v_threshold=threshold,
            v_reset=None,  # subtracts the threshold
        ).to(case.device)

        # Its multi-step mode takes the steps by index, as slow as in Norse.
        def run(currents):
            functional.reset_net(node)
            return torch.stack([node(current) for current in currents])

        return run

    return _in_torch(case, layer, case.gain)


def _in_torch(case, layer, scale):
    import torch

    torch.set_num_threads(case.n_threads)
    weights = [
        torch.nn.Parameter(
            torch.tensor(scale * w, dtype=torch.float32, device=case.device)
        )
        for w in case.weights
    ]
    layers = [layer(threshold) for threshold in case.v_threshold]
    inputs, targets = (
        torch.from_numpy(array).to(case.device) for array in (case.inputs, case.targets)
    )
    optimizer = torch.optim.Adam(weights, lr=case.learning_rate * scale, fused=True)

    def network():
        spikes, recorded = inputs, []
        for weight, run in zip(weights, layers, strict=True):
            spikes = run(spikes @ weight)
            recorded.append(spikes)
        return recorded

    def forward():
        with torch.no_grad():
            return [int(spikes.sum()) for spikes in network()]

    def step():
        error = network()[-1].sum(0) - targets
        optimizer.zero_grad()
        (0.5 * (error**2).sum() / len(targets)).backward()
        optimizer.step()
        if inputs.is_cuda:
            torch.cuda.synchronize()

    return forward, step


def _timed(function, repeats):
    function()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return seconds


def _main(name, path):
    case = _Case(path)
    makers = {
        "spyx": _spyx,
        "snntorch": _snntorch,
        "norse": _norse,
        "spikingjelly": _spikingjelly,
    }
    forward, step = makers[name](case)
    result = {
        "version": importlib.metadata.version(name),
        "spikes": forward(),
        "forward_seconds": _timed(forward, case.repeats),
        "training_seconds": _timed(step, case.repeats),
        "peak_memory": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    _main(*sys.argv[1:])
