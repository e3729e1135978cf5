"""SpikingJelly: neurons with a synaptic current, without adaptation."""

from spikingjelly.activation_based import functional, neuron

from .in_torch import in_torch


def make(case):
    """Return functions that simulate the batch, and train on it once."""
    # Its container of recurrent layers joins input and spikes to one wider product.
    node = neuron.CUBALIFNode(
        c_decay=case.syn_decay,
        v_decay=case.mem_decay,
        v_threshold=case.settled,
        v_reset=None,  # subtracts the threshold
    )

    def begin():
        functional.reset_net(node)
        return node

    return in_torch(case, begin, case.gain)
