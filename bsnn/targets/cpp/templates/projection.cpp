{# A spike of source neuron i adds what `on_pre` says to the neurons that it is joined
   with: to all of the target, of row i of the weights (n_pre x n_post), or to those of a
   pattern. Where delays differ, it adds that to what is on its way. `Synapses` in
   Brian2. #}
{# USES_VARIABLES { N } #}
{% extends 'common_group.cpp' %}
{% from 'pairs.cpp' import visited %}
{% block maincode %}
    const bsnn::Visits& _arriving = {{here}}arriving[{{connection}}];
    const {{real}}* const __restrict _weights = static_cast<const {{real}}*>(_arriving.weights);
    const size_t _vectorisation_idx = -1;
    {{kept(scalar_code)|autoindent}}

    int64_t _k = 0;
    {% if target and dense %}
    {{real}}* const __restrict _sum = {{get_array_name(target)}};
    // Two rows at a time: the target is read and written half as often.
    for (; _k + 1 < _arriving.n; _k += 2) {
        const {{real}}* const __restrict _first = _weights + (size_t)_arriving.neuron[_k] * {{n_post}};
        const {{real}}* const __restrict _second = _weights + (size_t)_arriving.neuron[_k + 1] * {{n_post}};
        {{each("int", "_j", n_post)}}
            _sum[_j] += _first[_j] + _second[_j];
    }
    {% endif %}
    {% if delay_of != "connection" %}
    {{real}}* const __restrict _future = static_cast<{{real}}*>(_arriving.future);
    {% endif %}
    for (; _k < _arriving.n; _k++) {
        const int32_t _i = _arriving.neuron[_k];
        {% call visited(real, dense, n_post, delay_of, each) %}
            {{vector_code|autoindent}}
            {% if delay_of != "connection" %}
            {% for name in added %}
            _future[_at * {{added|length}} + {{loop.index0}}] += {{name}};
            {% endfor %}
            {% endif %}
        {% endcall %}
        {{"" if dense else meet}}
    }
{% endblock %}
