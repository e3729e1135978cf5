"""Dense projection: all-to-all synapses as rows of one weight matrix.

``Synapses(source, target, "w : Hz", on_pre="i_syn_post += w")``, fully connected, keeps
an index pair for every synapse and visits them through a queue. A dense projection
means the same and adds a row of the matrix to the target for each spike.
"""

from brian2.core.variables import Variables
from brian2.groups.group import CodeRunner, Group


class DenseProjection(CodeRunner, Group):
    """Add row i of `w` to a variable of `target` at each spike of source neuron i.

    Parameters
    ----------
    source, target : Group
        Groups of `n_replicas` times n_pre and n_post neurons.
    variable : str
        Variable of the target to increase; `w` has its unit and dtype.
    code : type
        Code object class with a template "dense_projection".
    name : str
        Name of the Brian2 object.
    n_replicas : int
        Copies of the pair of groups side by side, which share the weights.

    Attributes
    ----------
    w : VariableView, n_pre * n_post values
        Weights, the row of a presynaptic neuron in one piece.
    """

    add_to_magic_network = False
    invalidates_magic_network = False

    def __init__(self, source, target, variable, code, *, name, n_replicas=1):
        n_pre, n_post = len(source) // n_replicas, len(target) // n_replicas
        sum_variable = target.variables[variable]
        CodeRunner.__init__(
            self,
            target,
            "dense_projection",
            when="synapses",
            name=name,
            check_units=False,
            needed_variables=["w", "_source_spikespace", "_target"],
            template_kwds={
                "source_events": source.variables["_spikespace"],
                "target": sum_variable,
                "n_pre": n_pre,
                "n_post": n_post,
            },
            codeobj_class=code,
        )
        self.source = source
        self.variables = Variables(self, default_index="_synapse")
        self.variables.add_reference("N", target)
        self.variables.add_arange("_synapse", size=n_pre * n_post)
        self.variables.add_array(
            "w",
            size=n_pre * n_post,
            dimensions=sum_variable.dim,
            dtype=sum_variable.dtype,
            index="_synapse",
        )
        self.variables.add_reference("_source_spikespace", source, "_spikespace")
        self.variables.add_reference("_target", target, variable)
        self.template_kwds["weights"] = self.variables["w"]
        self._enable_group_attributes()
