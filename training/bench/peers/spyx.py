"""Spyx, in JAX."""

import jax
import jax.numpy as jnp
import optax
import spyx.nn as snn
from flax import nnx
from spyx.optimize import make_train_step


class Network(nnx.Module):
    def __init__(self, case):
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


def make(case):
    """Return functions that simulate the batch, and train on it once."""

    def loss(network, spikes):
        error = network(spikes)[-1].sum(0) - targets
        return 0.5 * (error**2).sum() / len(targets)

    network, inputs = Network(case), jnp.asarray(case.inputs)
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
