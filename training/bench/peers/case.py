"""What a peer is given: the network and one batch, as arrays."""

import json

import numpy as np


def raster(arrays, shape):
    """Return the input spikes as ones in zeros, by step, sample and neuron."""
    spikes = np.zeros(shape, np.float32)
    spikes[arrays["step"], arrays["sample"], arrays["neuron"]] = 1
    return spikes


class Case:
    """What the parent sent, as the arrays that all peers take."""

    def __init__(self, path):
        with np.load(path) as arrays:
            self.__dict__.update(json.loads(str(arrays["case"])))
            n_layers = len(self.v_threshold)
            self.weights = [arrays[f"weights{layer}"] for layer in range(n_layers)]
            self.labels = arrays["labels"]
            n_inputs, n_outputs = self.weights[0].shape[0], self.weights[-1].shape[1]
            self.inputs = raster(arrays, (self.n_steps, len(self.labels), n_inputs))
        tau_mem, tau_syn = self.tau
        self.mem_decay = float(np.exp(-self.dt / tau_mem))
        self.syn_decay = float(np.exp(-self.dt / tau_syn))
        # How much of i_syn reaches v in a step.
        kappa = tau_mem * tau_syn / (tau_mem - tau_syn)
        self.gain = kappa * (self.mem_decay - self.syn_decay)
        true, false = self.target
        self.targets = np.full((len(self.labels), n_outputs), false, np.float32)
        self.targets[np.arange(len(self.labels)), self.labels] = true
