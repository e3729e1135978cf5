{# A spike of source neuron i adds what `on_pre` says to the neurons that it is joined
   with: to all of the target, of row i of the weights (n_pre x n_post), or to those of a
   pattern. `Synapses` in Brian2. #}
{# USES_VARIABLES { N } #}
{% extends 'common_group.cpp' %}
{% block maincode %}
    const bsnn::Visits& _arriving = bsnn::arriving[{{connection}}];
    const {{real}}* const _weights = static_cast<const {{real}}*>(_arriving.weights);
    const size_t _vectorisation_idx = -1;
    {{kept(scalar_code)|autoindent}}

    int64_t _k = 0;
    {% if dense and plain %}
    {{real}}* const __restrict _sum = {{get_array_name(target)}};
    // Two rows at a time: the target is read and written half as often.
    for (; _k + 1 < _arriving.n; _k += 2) {
        const {{real}}* const __restrict _first = _weights + (size_t)_arriving.neuron[_k] * {{n_post}};
        const {{real}}* const __restrict _second = _weights + (size_t)_arriving.neuron[_k + 1] * {{n_post}};
        for (int _j = 0; _j < {{n_post}}; _j++)
            _sum[_j] += _first[_j] + _second[_j];
    }
    {% endif %}
    for (; _k < _arriving.n; _k++) {
        {% if dense %}
        const {{real}}* const __restrict _row = _weights + (size_t)_arriving.neuron[_k] * {{n_post}};
        for (int _idx = 0; _idx < {{n_post}}; _idx++) {
            const size_t _vectorisation_idx = _idx;
            const {{real}} w = _row[_idx];
        {% else %}
        const int64_t _end = _arriving.row[_arriving.neuron[_k] + 1];
        for (int64_t _pair = _arriving.row[_arriving.neuron[_k]]; _pair < _end; _pair++) {
            const size_t _idx = _arriving.target[_pair], _vectorisation_idx = _idx;
            const {{real}} w = _weights[_arriving.shared[_pair]];
        {% endif %}
            {{vector_code|autoindent}}
        }
    }
{% endblock %}
