{# Visit the pairs that begin at neuron `_i`: `_idx` is the neuron that each leads to, and
   `_weight` which weight it has, `w`. Where delays differ, `_at` is where what the pair
   carries lies among what is on its way. `each` writes the loop over them. #}
{% macro visited(real, dense, n_post, delay_of, each) %}
    {% if delay_of == "source" %}
    const int64_t _delay = _arriving.delay[_i];
    const size_t _from = _arriving.slot_after(_delay) * {{n_post}};
    {% endif %}
    {% if dense %}
    const size_t _first = (size_t)_i * {{n_post}};
    {{each("int", "_idx", n_post)}} {
        const size_t _vectorisation_idx = _idx, _pair = _first + _idx, _weight = _pair;
    {% else %}
    const size_t _end = _arriving.row[_i + 1];
    {{each("size_t", "_pair", "_end", "_arriving.row[_i]")}} {
        const size_t _idx = _arriving.target[_pair], _vectorisation_idx = _idx;
        const size_t _weight = _arriving.shared[_pair];
    {% endif %}
        const {{real}} w = _weights[_weight];
    {% if delay_of == "source" %}
        const size_t _at = _from + _idx;
    {% elif delay_of == "synapse" %}
        const int64_t _delay = _arriving.delay[_pair];
        const size_t _at = _arriving.slot_after(_delay) * {{n_post}} + _idx;
    {% endif %}
        {{caller()}}
    }
{% endmacro %}
