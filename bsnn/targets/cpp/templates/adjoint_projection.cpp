{# The adjoint of `projection`: what each arrival gives to its weights and to dL/dT. #}
{# USES_VARIABLES { N } #}
{% extends 'common_group.cpp' %}
{% block maincode %}
    const bsnn::Visits& _arriving = bsnn::arriving[{{connection}}];
    const {{real}}* const _weights = static_cast<const {{real}}*>(_arriving.weights);
    {{real}}* const _gradient = static_cast<{{real}}*>(_arriving.gradient);
    const size_t _vectorisation_idx = -1;
    {{kept(scalar_code)|autoindent}}

    for (int64_t _k = 0; _k < _arriving.n; _k++) {
        {% if dense %}
        const size_t _at = (size_t)_arriving.neuron[_k] * {{n_post}};
        const {{real}}* const __restrict _row = _weights + _at;
        {{real}}* const __restrict _by_row = _gradient + _at;
        {% endif %}
        {% for wanted in (true, false) %}
        {{"if (_arriving.total) {" if wanted else "} else {  // the compiler leaves out what only dL/dT needs"}}
            {% if wanted %}
            {{real}} _sum = 0;
            {% endif %}
            {% if dense %}
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
                {{"_by_row[_idx]" if dense else "_gradient[_arriving.shared[_pair]]"}} += _dw;
                {% if wanted %}
                _sum += _shift;
                {% endif %}
            }
            {% if wanted %}
            _arriving.total[_k] += _sum;
            {% endif %}
        {% endfor %}
        }
    }
{% endblock %}
