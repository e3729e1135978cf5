"""What a peer is given: the recurrent network and one batch, as arrays."""

import json

import numpy as np

from bsnn.training.bench.peers.case import raster


class Case:
    """What the parent sent, as the arrays that all peers take."""

    def __init__(self, path):
        with np.load(path) as arrays:
            self.__dict__.update(json.loads(str(arrays["case"])))
            self.weights = [arrays[f"weights{k}"] for k in range(3)]
            self.labels = arrays["labels"]
            shape = (self.n_steps, len(self.labels), len(self.weights[0]))
            self.inputs = raster(arrays, shape)
        decays = [float(np.exp(-self.dt / tau)) for tau in self.tau]
        self.mem_decay, self.syn_decay, self.adapt_decay = decays
        self.gain = self._voltage(1)  # how much of i_syn reaches v in a step

    def _voltage(self, n):
        """Return v after n steps, of i_syn that began as 1."""
        tau_mem, tau_syn, _ = self.tau
        scale = tau_syn / (tau_mem - tau_syn)
        return scale * (self.mem_decay**n - self.syn_decay**n)

    @property
    def response(self):
        """v of an integrator at the start of step n to a spike of step m: (n, m)."""
        lag = np.subtract.outer(np.arange(self.n_steps), np.arange(self.n_steps)) - 1
        return np.where(lag > 0, self._voltage(np.maximum(lag, 0)), 0).astype(
            np.float32
        )
