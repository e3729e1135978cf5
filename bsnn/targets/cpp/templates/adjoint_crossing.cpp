{# Where in its step a neuron crossed threshold, and what that crossing's dL/dT does to
   the start of the step. #}
{# USES_VARIABLES { N, dt } #}
{% extends 'common_group.cpp' %}
{% block maincode %}
    const bsnn::Visits& _fired = bsnn::fired[{{population}}];
    const size_t _vectorisation_idx = -1;
    const {{real}} _length = {{dt}};
    {{kept(scalar_code['evaluate'])|autoindent}}
    for (int64_t _k = 0; _k < _fired.n; _k++) {
        const size_t _idx = _fired.neuron[_k];
        const size_t _vectorisation_idx = _idx;
        const auto _look = [&](const {{real}} _h, {{real}}& _height, {{real}}& _slope) {
            {{vector_code['evaluate']|autoindent}}
            _height = _margin;
            _slope = _steepness;
        };
        {{real}} _h = 0, _height, _slope;
        _look(_h, _height, _slope);
        if (_height >= 0) {  // above threshold already: it crossed nowhere in this step
            {{real}} _later;
            _look(_length, _height, _later);
            _slope = std::max(_slope, _later);
        } else {
            // Newton's method inside a bracket; bisection where it leaves the bracket or
            // does not halve its steps, as from far beyond an exponential upstroke.
            {{real}} _low = 0, _high = _length, _stride = _length;
            _h = _length / 2;
            for (int _turn = 0; _turn < 100; _turn++) {
                _look(_h, _height, _slope);
                if (_height >= 0) _high = _h; else _low = _h;
                {{real}} _next = _h - _height / _slope;
                const bool _slow = 2 * std::abs(_height) > _stride * std::abs(_slope);
                if (_slow || !(_next >= _low && _next <= _high))
                    _next = _low + (_high - _low) / 2;
                _stride = std::abs(_next - _h);
                _h = _next;
                if (_stride <= _length * {{precision}}) break;
            }
        }
        const double _floor = _fired.slope_min;
        if (_slope < _floor) bsnn::n_clamped++;
        const {{real}} _q = -_fired.total[_k] / std::max<double>(_slope, _floor);
        {
            {{kept(scalar_code['pull'])|autoindent}}
            {{vector_code['pull']|autoindent}}
        }
    }
{% endblock %}
