"""Spyx, in JAX: neurons that adapt and subtract the adapted threshold."""

import jax
import jax.numpy as jnp
import optax
import spyx.nn as snn
from flax import nnx
from spyx.optimize import make_train_step


class Recurrent(nnx.Module):
    """`ALIF` behind a synaptic current, all-to-all recurrent."""

    def __init__(self, case, scale):
        self.weight = nnx.Param(jnp.asarray(scale * case.weights[1], jnp.float32))
        self.syn_decay, self.size = case.syn_decay, len(case.weights[1])
        self.neuron = snn.ALIF(
            (self.size,),
            beta=case.mem_decay,
            gamma=case.adapt_decay,
            threshold=_threshold(case),
            rngs=nnx.Rngs(0),
        )
        for name in ("beta", "gamma"):  # else their gradients would cost time, too
            setattr(self.neuron, name, nnx.Cache(getattr(self.neuron, name)[...]))

    def __call__(self, current, state):
        spikes, i_syn, adapting = state
        i_syn = self.syn_decay * i_syn + current + spikes @ self.weight[...]
        spikes, adapting = self.neuron(i_syn, adapting)
        return spikes, (spikes, i_syn, adapting)

    def initial_state(self, n_samples):
        rest = jnp.zeros((n_samples, self.size))
        return rest, rest, self.neuron.initial_state(n_samples)


class Network(nnx.Module):
    def __init__(self, case):
        scale = case.gain * _threshold(case)
        entering, _, leaving = case.weights
        self.entering = nnx.Param(jnp.asarray(scale * entering, jnp.float32))
        self.hidden = Recurrent(case, scale)
        self.leaving = nnx.Param(jnp.asarray(leaving, jnp.float32))
        self.response = nnx.Cache(jnp.asarray(case.response))

    def __call__(self, inputs):
        spikes, _ = snn.run(self.hidden, inputs @ self.entering[...])
        return spikes, jnp.tensordot(self.response[...], spikes @ self.leaving[...], 1)


def make(case):
    """Return functions that simulate the batch, and train on it once."""

    def loss(network, inputs):
        score = network(inputs)[1].max(0)
        losses = optax.softmax_cross_entropy_with_integer_labels(score, labels)
        return losses.mean()

    network, inputs = Network(case), jnp.asarray(case.inputs)
    labels = jnp.asarray(case.labels)
    optimizer = nnx.Optimizer(network, optax.adam(case.learning_rate), wrt=nnx.Param)
    step = make_train_step(loss)
    count = nnx.jit(lambda network, inputs: network(inputs)[0].sum())
    return (
        lambda: [int(count(network, inputs))],
        lambda: jax.block_until_ready(step(network, optimizer, inputs)),
    )


def _threshold(case):
    """Return the threshold at rest; a spike raises it by 1 - adapt_decay in Spyx."""
    return (1 - case.adapt_decay) / case.beta
