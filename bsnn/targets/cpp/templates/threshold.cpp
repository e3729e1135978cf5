{# Brian2's thresholder, in blocks: a first pass without branches, which vectorises, notes
   which neurons of the block fire; the second visits only those. #}
{# USES_VARIABLES { N } #}
{% extends 'common_group.cpp' %}
{% block maincode %}
    {% macro begin_refractory() %}
    {% if _uses_refractory %}
    {{not_refractory}}[_idx] = false;
    {{lastspike}}[_idx] = {{t}};
    {% endif %}
    {% endmacro %}
    {% set _events = get_array_name(eventspace_variable) %}
    const int _vectorisation_idx = -1;
    {{scalar_code|autoindent}}

    const size_t _block = 32, _word = sizeof(uint64_t);
    long _count = 0;
    size_t _start = 0;
    for (; _start + _block <= N; _start += _block) {
        char _fires[_block];
        for (size_t _k = 0; _k < _block; _k++) {
            const size_t _idx = _start + _k;
            const size_t _vectorisation_idx = _idx;
            {{vector_code|autoindent}}
            _fires[_k] = _cond;
        }
        for (size_t _k = 0; _k < _block; _k += _word) {
            uint64_t _flags;
            memcpy(&_flags, _fires + _k, _word);
            // A set bit for each neuron that fires, its lowest byte first.
            for (; _flags; _flags &= _flags - 1) {
                const size_t _idx = _start + _k + __builtin_ctzll(_flags) / 8;
                {{_events}}[_count++] = _idx;
                {{begin_refractory()}}
            }
        }
    }
    for (size_t _idx = _start; _idx < N; _idx++) {
        const size_t _vectorisation_idx = _idx;
        {{vector_code|autoindent}}
        if (_cond) {
            {{_events}}[_count++] = _idx;
            {{begin_refractory()}}
        }
    }
    {{_events}}[N] = _count;
{% endblock %}
