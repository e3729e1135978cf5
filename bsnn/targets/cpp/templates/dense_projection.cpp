{# Every spike of source neuron i adds row i of the weights (n_pre x n_post) to the
   target variable, which is what a full `Synapses(on_pre='x_post += w')` does. #}
{# USES_VARIABLES { N } #}
{% extends 'common_group.cpp' %}
{% block maincode %}
    {% set _events = get_array_name(source_events) %}
    const int32_t* const _fired = {{_events}};
    const int _n_fired = _fired[{{n_pre}}];
    {{c_data_type(target.dtype)}}* const __restrict _sum = {{get_array_name(target)}};
    const {{c_data_type(weights.dtype)}}* const __restrict _weights = {{get_array_name(weights)}};

    int _k = 0;
    // Two rows at a time: the target is read and written half as often.
    for (; _k + 1 < _n_fired; _k += 2) {
        const {{c_data_type(weights.dtype)}}* const __restrict _first = _weights + (size_t)_fired[_k] * {{n_post}};
        const {{c_data_type(weights.dtype)}}* const __restrict _second = _weights + (size_t)_fired[_k + 1] * {{n_post}};
        for (int _j = 0; _j < {{n_post}}; _j++)
            _sum[_j] += _first[_j] + _second[_j];
    }
    if (_k < _n_fired) {
        const {{c_data_type(weights.dtype)}}* const __restrict _row = _weights + (size_t)_fired[_k] * {{n_post}};
        for (int _j = 0; _j < {{n_post}}; _j++)
            _sum[_j] += _row[_j];
    }
{% endblock %}
