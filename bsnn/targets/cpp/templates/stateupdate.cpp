{# Brian2's state updater; what no step changes, exponentials of dt mostly, is kept from
   one step to the next. The states before it are kept where `before` says. #}
{# USES_VARIABLES { N } #}
{# ALLOWS_SCALAR_WRITE #}
{% extends 'common_group.cpp' %}
{% block maincode %}
    const size_t _vectorisation_idx = -1;
    {{kept(scalar_code)|autoindent}}
    const int _N = {{constant_or_scalar('N', variables['N'])}};
    {% for state, kept in before|default([]) %}
    auto* const __restrict _before_{{state.name}} = {{arrays}}{{get_array_name(kept, access_data=False)}};
    {% if state.name not in variables %}
    const auto* const _now_{{state.name}} = {{arrays}}{{get_array_name(state, access_data=False)}};
    {% endif %}
    {% endfor %}
    {{independent}}
    {{each("int", "_idx", "_N")}} {
        const size_t _vectorisation_idx = _idx;
        {% for state, _ in before|default([]) %}
        _before_{{state.name}}[_idx] =
            {{get_array_name(state) if state.name in variables else "_now_" ~ state.name}}[_idx];
        {% endfor %}
        {{vector_code|autoindent}}
    }
{% endblock %}
