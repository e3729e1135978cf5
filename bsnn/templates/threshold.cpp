{# Brian2's thresholder, in blocks: a first pass without branches, which vectorises, asks
   whether any neuron of the block fires; only then are they looked at one by one. #}
{# USES_VARIABLES { N } #}
{% extends 'common_group.cpp' %}
{% block maincode %}
    {% set _events = get_array_name(eventspace_variable) %}
    const int _vectorisation_idx = -1;
    {{scalar_code|autoindent}}

    const size_t _block = 32;
    long _count = 0;
    for (size_t _start = 0; _start < N; _start += _block) {
        const size_t _stop = _start + _block < N ? _start + _block : N;
        int _any = 0;
        for (size_t _idx = _start; _idx < _stop; _idx++) {
            const size_t _vectorisation_idx = _idx;
            {{vector_code|autoindent}}
            _any += _cond;
        }
        if (!_any) continue;
        for (size_t _idx = _start; _idx < _stop; _idx++) {
            const size_t _vectorisation_idx = _idx;
            {{vector_code|autoindent}}
            if (_cond) {
                {{_events}}[_count++] = _idx;
                {% if _uses_refractory %}
                {{not_refractory}}[_idx] = false;
                {{lastspike}}[_idx] = {{t}};
                {% endif %}
            }
        }
    }
    {{_events}}[N] = _count;
{% endblock %}
