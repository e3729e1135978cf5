{# The adjoint of `projection`, last spike first: what each arrival gives to its weights
   and to dL/dT. Where delays differ, it reads what each neuron was like when the spike
   arrived. #}
{# USES_VARIABLES { N } #}
{% extends 'common_group.cpp' %}
{% from 'pairs.cpp' import visited %}
{% block maincode %}
    const bsnn::Visits& _arriving = {{here}}arriving[{{connection}}];
    const {{real}}* const __restrict _weights = static_cast<const {{real}}*>(_arriving.weights);
    {{real}}* const __restrict _gradient = static_cast<{{real}}*>(_arriving.gradient);
    {% if learns_delay %}
    {{real}}* const __restrict _by_delay = static_cast<{{real}}*>(_arriving.by_delay);
    {% endif %}
    {% if delay_of != "connection" %}
    {{real}}* const __restrict _past = static_cast<{{real}}*>(_arriving.past);
    {% endif %}
    const size_t _vectorisation_idx = -1;
    {{kept(scalar_code)|autoindent}}

    for (int64_t _k = _arriving.n; _k-- > 0;) {
        const int32_t _i = _arriving.neuron[_k];
        {% if delay_of == "source" %}
        if (_arriving.delay[_i] >= _arriving.n_left) continue;
        {% endif %}
        {% for wanted in (true, false) %}
        {{"if (_arriving.timed) {" if wanted else "} else {  // the compiler leaves out what only dL/dT needs"}}
            {% if wanted %}
            {{real}} _sum = 0;
            {% endif %}
            {% call visited(real, dense, n_post, delay_of, each) %}
                {% if delay_of == "synapse" %}
                if (_delay >= _arriving.n_left) continue;
                {% endif %}
                {% for name in arrived %}
                const {{real}} {{name}} = _past[_at * {{arrived|length}} + {{loop.index0}}];
                {% endfor %}
                {% for name in flags %}
                const char {{name}} = _arriving.past_flags[_at * {{flags|length}} + {{loop.index0}}];
                {% endfor %}
                {{vector_code|autoindent}}
                _gradient[{{gathered_by}}] += _dw;
                {% for name, end, array in left %}
                {% if delay_of == "connection" %}
                {{get_array_name(array)}}[_idx] = {{name}};
                {% else %}
                _past[_at * {{arrived|length}} + {{arrived.index(end)}}] = {{name}};
                {% endif %}
                {% endfor %}
                {% if wanted %}
                _sum += _shift;
                {% if learns_delay and delay_of == "synapse" %}
                _by_delay[_pair] += _shift;
                {% endif %}
                {% endif %}
            {% endcall %}
            {% if wanted %}
            {{collect("_sum")}}
            if ({{leads}} && _arriving.total) _arriving.total[_k] += _sum;
            {% if learns_delay and delay_of != "synapse" %}
            if ({{leads}}) _by_delay[{{"_i" if delay_of == "source" else "0"}}] += _sum;
            {% endif %}
            {% endif %}
        {% endfor %}
        }
        {{"" if dense else meet}}
    }
{% endblock %}
