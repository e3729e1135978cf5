{# Brian2's state updater; what no step changes, exponentials of dt mostly, is kept from
   one step to the next. #}
{# USES_VARIABLES { N } #}
{# ALLOWS_SCALAR_WRITE #}
{% extends 'common_group.cpp' %}
{% block maincode %}
    const size_t _vectorisation_idx = -1;
    {{kept(scalar_code)|autoindent}}
    const int _N = {{constant_or_scalar('N', variables['N'])}};
    {{independent}}
    for (int _idx = 0; _idx < _N; _idx++) {
        const size_t _vectorisation_idx = _idx;
        {{vector_code|autoindent}}
    }
{% endblock %}
