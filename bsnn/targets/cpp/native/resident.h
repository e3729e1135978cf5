// What the loop of a resident program is given: see resident.cpp.
#pragma once
#include <cstring>
#include <functional>
#include <vector>

#include "brianlib/clocks.h"
#include "protocol.h"

namespace bsnn {

// A weight array that lives in the shared segment...
template <class Real>
void bind_weights(Segment& segment, size_t& at, Real*& array, size_t size) {
  array = segment.block<Real>(at, size);
}
// ...or, for Synapses, that is copied from it.
template <class Real>
void bind_weights(Segment& segment, size_t& at, std::vector<Real>& array, size_t size) {
  std::memcpy(array.data(), segment.block<Real>(at, size), size * sizeof(Real));
}

// What a monitor recorded of one layer, and the layer's state.
template <class Real>
struct Layer {
  std::vector<int32_t>& neuron;
  std::vector<double>& time;
  int32_t& n_recorded;
  std::vector<std::vector<Real>*> recorded;
  std::vector<Real*> state;
  size_t n_neurons;
  std::vector<int64_t> offset;

  void rest() {
    for (Real* variable : state) std::fill(variable, variable + n_neurons, Real(0));
  }
  void clear() {
    neuron.clear();
    time.clear();
    for (auto* values : recorded) values->clear();
    n_recorded = 0;
    offset.assign(1, 0);
  }
  size_t bytes() const {
    const size_t n = neuron.size();
    return aligned(offset.size() * 8) + 2 * aligned(n * 4) +
           recorded.size() * aligned(n * sizeof(Real));
  }
  // Writes the records from byte `at` on, which moves on behind them.
  void store(const Segment& to, size_t& at, double dt, int64_t n_steps) const {
    const size_t n = neuron.size();
    std::copy(offset.begin(), offset.end(), to.block<int64_t>(at, offset.size()));
    std::copy(neuron.begin(), neuron.end(), to.block<int32_t>(at, n));
    int32_t* step = to.block<int32_t>(at, n);
    for (size_t m = 0; m + 1 < offset.size(); m++)
      for (int64_t k = offset[m]; k < offset[m + 1]; k++)
        step[k] = int32_t(int64_t(time[k] / dt + 0.5) - int64_t(m) * n_steps);
    for (auto* values : recorded)
      std::copy(values->begin(), values->end(), to.block<Real>(at, n));
  }
};

typedef std::vector<void (*)()> Codes;  // of a step, in order
typedef std::function<void(Segment&, size_t)> Bind;  // points the network at the weights

// Those of Brian2's network, each beside its clock.
template <class Objects>
Codes codes_of(const Objects& objects) {
  Codes codes;
  for (const auto& object : objects) codes.push_back(object.second);
  return codes;
}

template <class Real>
void serve(const Codes& codes, Clock& clock, std::vector<int32_t>& input_step,
           std::vector<int32_t>& input_neuron, int32_t& last_input,
           std::vector<Layer<Real>> layers, Bind bind);

}  // namespace bsnn
