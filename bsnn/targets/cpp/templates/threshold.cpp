{# Brian2's thresholder. Blocks of neurons are compared without branches, which vectorises,
   and who fires is noted without branches, too: what a processor cannot foretell costs it
   more than the comparison of a block. #}
{# USES_VARIABLES { N } #}
{% extends 'common_group.cpp' %}
{% block maincode %}
    {% set _events = get_array_name(eventspace_variable) %}
    const int _vectorisation_idx = -1;
    {{scalar_code|autoindent}}

    const size_t _block = 32;
    int32_t* const _fired = {{_events}};
    size_t _count = 0, _start = 0;
    for (; _start + _block <= N; _start += _block) {
        char _fires[_block];
        for (size_t _k = 0; _k < _block; _k++) {
            const size_t _idx = _start + _k;
            const size_t _vectorisation_idx = _idx;
            {{vector_code|autoindent}}
            _fires[_k] = bool(_cond);
        }
        // A set bit for each neuron that fires. There is room for two whether they are there
        // or not, as fewer have fired than were looked at.
        uint32_t _flags = bsnn::bits_of(_fires);
        size_t _next = _count;
        _count += __builtin_popcount(_flags);
        for (int _k = 0; _k < 2; _k++) {
            _fired[_next++] = _start + __builtin_ctz(_flags | 1u << 31);
            _flags &= _flags - 1;
        }
        for (; _flags; _flags &= _flags - 1) _fired[_next++] = _start + __builtin_ctz(_flags);
    }
    for (size_t _idx = _start; _idx < N; _idx++) {
        const size_t _vectorisation_idx = _idx;
        {{vector_code|autoindent}}
        _fired[_count] = _idx;
        _count += bool(_cond);
    }
    {% if _uses_refractory %}
    for (size_t _k = 0; _k < _count; _k++) {
        const size_t _idx = _fired[_k];
        {{not_refractory}}[_idx] = false;
        {{lastspike}}[_idx] = {{t}};
    }
    {% endif %}
    _fired[N] = _count;
{% endblock %}
