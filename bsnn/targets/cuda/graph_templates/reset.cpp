{# Brian2's reset of the neurons that the thresholder has written. #}
{# USES_VARIABLES { N } #}
{% extends 'common_group.cpp' %}
{% block maincode %}
    const int32_t* const _events = {{get_array_name(eventspace_variable)}};
    const size_t _vectorisation_idx = -1;
    {{scalar_code|autoindent}}
    {{each("int32_t", "_k", "_events[N]")}} {
        const size_t _idx = _events[_k];
        const size_t _vectorisation_idx = _idx;
        {{vector_code|autoindent}}
    }
{% endblock %}
