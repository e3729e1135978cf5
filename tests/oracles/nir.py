"""An interpreter of graphs of NIR by its equations, which knows nothing of bsnn.

A spike counts as 1 for one time step, and acts on potentials from the next step on.
Where it acts on a potential itself, a hard reset in its step comes after it and wipes
it out, as Brian2 orders them. The equations are followed by forward Euler, or by the
exponential of their matrix.
"""

import numpy as np
import scipy.linalg


def spikes_of(graph, inputs, dt, *, exact=True, soft=()):
    """Return what each neuron node does.

    Parameters
    ----------
    graph : nir.NIRGraph
        Of Input, Output, Linear, Affine, Scale, Delay, Conv2d, Flatten and neurons.
    inputs : dict of str to ndarray, shape (n_steps, ...)
        0 and 1, for each Input.
    dt : float
        Seconds.
    exact : bool
        Else by forward Euler.
    soft : sequence of str
        Nodes whose spikes subtract what their metadata call delta_v.

    Returns
    -------
    spikes : dict of str to ndarray, shape (n_steps, n_neurons), bool
    """
    n_steps = len(next(iter(inputs.values())))
    sizes = {n: x.r.size for n, x in graph.nodes.items() if hasattr(x, "r")}
    fired = {name: np.zeros((n_steps, size)) for name, size in sizes.items()}
    fired |= {name: x.reshape(n_steps, -1).astype(float) for name, x in inputs.items()}

    def output(name, step):
        node = graph.nodes[name]
        if name in fired:
            return fired[name][step] if step >= 0 else 0 * fired[name][0]
        if hasattr(node, "delay"):
            delays = np.rint(node.delay.ravel() / dt).astype(int)
            columns = [into(name, step - d)[k] for k, d in enumerate(delays)]
            return np.array(columns)
        arriving = into(name, step)
        if type(node).__name__ == "Conv2d":
            return _convolved(node, arriving)
        if hasattr(node, "weight"):
            return node.weight @ arriving + getattr(node, "bias", 0.0)
        return arriving * getattr(node, "scale", 1.0)

    def into(name, step):
        return sum(output(a, step) for a, b in graph.edges if b == name)

    # What nothing but biases make is there at all times, and no impulse.
    steady = {name: into(name, -n_steps) for name in sizes}
    neurons = {
        name: _Neurons(
            graph.nodes[name], dt, exact, name in soft, steady[name] + np.zeros(size)
        )
        for name, size in sizes.items()
    }
    for step in range(n_steps):
        for name, group in neurons.items():
            fired[name][step] = group.step(into(name, step - 1) - steady[name])
    return {name: fired[name].astype(bool) for name in neurons}


def _convolved(node, arriving):
    weight, (p, _), (s, _) = node.weight, node.padding, node.stride
    shape = (weight.shape[1], *node.input_shape)
    padded = np.pad(arriving.reshape(shape), ((0, 0), (p, p), (p, p)))
    k = weight.shape[2]
    rows, columns = ((n - k) // s + 1 for n in padded.shape[1:])
    out = np.zeros((len(weight), rows, columns))
    for y in range(rows):
        for x in range(columns):
            patch = padded[:, y * s : y * s + k, x * s : x * s + k]
            out[:, y, x] = np.tensordot(weight, patch, 3) + node.bias
    return out.ravel()


class _Neurons:
    def __init__(self, node, dt, exact, soft, bias):
        self.node, self.size, self.dt, self.soft = node, node.r.size, dt, soft
        self.bias, self.fired = bias, np.zeros(node.r.size, bool)
        n = self.size
        # d(v, I, x, 1)/dt, with the input x held, of what the docstrings of nir say.
        self.maps = []
        flat = {k: np.ravel(v) for k, v in vars(node).items() if np.ndim(v)}
        self.leak = flat.get("v_leak", np.zeros(n))
        for k in range(n):
            a = np.zeros((4, 4))
            tau, r = flat.get("tau_mem", flat.get("tau", np.ones(n)))[k], flat["r"][k]
            a[0, 1 if "tau_syn" in flat else 2] = r / tau
            if "v_leak" in flat:
                a[0, 0], a[0, 3] = -1 / tau, self.leak[k] / tau
            if "tau_syn" in flat:
                a[1, 1] = -1 / flat["tau_syn"][k]
                a[1, 2] = flat["w_in"][k] / flat["tau_syn"][k]
            a[:, 3] += a[:, 2] * self.bias[k]
            step = scipy.linalg.expm(a * dt) if exact else np.eye(4) + a * dt
            self.maps.append((a, step))
        self.state = np.zeros((n, 4))
        self.state[:, 0], self.state[:, 3] = self.leak, 1.0
        self.flat = flat

    def step(self, arriving):
        """Go one step on, after an input of `arriving` for a step; return spikes."""
        arriving = np.broadcast_to(arriving, self.size)
        if "tau_syn" not in self.flat and not self.soft:
            arriving = np.where(self.fired, 0.0, arriving)
        fired = np.zeros(self.size, bool)
        for k, (a, step) in enumerate(self.maps):
            # 1 for one step has the area dt: the state jumps by what dt of it adds.
            self.state[k] += a[:, 2] * arriving[k] * self.dt
            self.state[k] = step @ self.state[k]
        if "v_threshold" in self.flat:
            fired = self.state[:, 0] > self.flat["v_threshold"]
            if self.soft:
                delta = np.ravel(self.node.metadata["delta_v"])
                self.state[fired, 0] -= delta[fired]
            else:
                self.state[fired, 0] = self.flat["v_reset"][fired]
        self.fired = fired
        return fired
