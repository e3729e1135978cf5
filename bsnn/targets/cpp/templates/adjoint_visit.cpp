{# Straight-line code for the neurons that are visited in a step, whose spikes gain
   `_shift`. #}
{# USES_VARIABLES { N } #}
{% extends 'common_group.cpp' %}
{% block maincode %}
    const bsnn::Visits& _visited = {{here}}{{visits}}[{{population}}];
    const size_t _vectorisation_idx = -1;
    {{kept(scalar_code)|autoindent}}
    {{each("int64_t", "_k", "_visited.n")}} {
        const size_t _idx = _visited.neuron[_k];
        const size_t _vectorisation_idx = _idx;
        {{vector_code|autoindent}}
        _visited.total[{{"_visited.spike[_k]" if by_spike else "_k"}}] += _shift;
    }
{% endblock %}
