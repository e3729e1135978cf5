"""A model becomes the Brian2 objects that its texts say."""

import pytest
from brian2 import ms

import bsnn
from bsnn.program.forward import neuron_group


@pytest.mark.parametrize("detect", ["end", "crossing"])
def test_the_threshold_is_that_of_the_models_detection(detect):
    model = bsnn.Model.dense(
        [3, 2],
        v_threshold=0.2,
        tau_syn=10 * ms,
        tau_mem=20 * ms,
        dt=1 * ms,
        duration=20 * ms,
        detect=detect,
    )
    (neuron,) = model.neurons
    group = neuron_group(model, neuron, 2)
    expected = {"end": neuron.threshold, "crossing": neuron.threshold_crossing}
    assert group.events["spike"] == expected[detect]
