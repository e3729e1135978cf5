{# Brian2's thresholder: the neurons that fire are written in rising order. #}
{# USES_VARIABLES { N } #}
{% extends 'common_group.cpp' %}
{% block maincode %}
    {% set _events = get_array_name(eventspace_variable) %}
    const int _vectorisation_idx = -1;
    {{scalar_code|autoindent}}

    int _count = 0;
    for (size_t _start = 0; _start < N; _start += blockDim.x) {
        const size_t _idx = _start + threadIdx.x;
        bool _fires = false;
        if (_idx < N) {
            const size_t _vectorisation_idx = _idx;
            {{vector_code|autoindent}}
            _fires = _cond;
        }
        const int _at = _own.place(_fires, _count);  // every thread asks
        if (_fires) {
            {{_events}}[_at] = _idx;
            {% if _uses_refractory %}
            {{not_refractory}}[_idx] = false;
            {{lastspike}}[_idx] = {{t}};
            {% endif %}
        }
    }
    if (threadIdx.x == 0) {{_events}}[N] = _count;
{% endblock %}
