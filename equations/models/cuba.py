r"""Current-based LIF neuron (CUBA LIF) with soft reset, as a `Neuron`.

The equations of `bsnn.equations.models.cuba_lif`, of which chains of layers are made,
for networks of any shape.

References
----------
Brette et al. 2007, doi:10.1007/s10827-007-0038-6.
"""

from brian2.units import ms

from bsnn.equations.neuron import Neuron

from .cuba_lif import EQUATIONS, METHOD, RESET, THRESHOLD

SYNAPSE = "i_syn += w"


def cuba(**parameters) -> Neuron:
    """Return a CUBA LIF neuron; any parameter by its name in the equations."""
    defaults = {"tau_mem": 260 * ms, "tau_syn": 130 * ms, "v_threshold": 1.0}
    values = {**defaults, **parameters}
    values.setdefault("delta_v", values["v_threshold"])
    return Neuron(EQUATIONS, THRESHOLD, RESET, method=METHOD, parameters=values)
