// The loop of a resident program: wait for a request, simulate its samples one after
// another, leave the recorded spikes in shared memory, answer.
#pragma once
#include <chrono>
#include <vector>

#include "brianlib/clocks.h"
#include "network.h"
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

// Serve requests until the socket closes. `bind` points the network at the weights.
template <class Real, class Bind>
void serve(Network& network, Clock& clock, std::vector<int32_t>& input_step,
           std::vector<int32_t>& input_neuron, int32_t& last_input,
           std::vector<Layer<Real>> layers, Bind bind) {
  const int socket = descriptor("BSNN_SOCKET");
  // Weights are only read: whatever goes wrong here, a repeated batch finds the same.
  Segment weights(descriptor("BSNN_WEIGHTS"), PROT_READ);
  Segment exchange(descriptor("BSNN_EXCHANGE"), PROT_READ | PROT_WRITE);
  wake_at_parents_death();
  weights.map_all();
  Request request;
  while (receive(socket, request)) {
    exchange.map(request.exchange_bytes);
    bind(weights, request.weights_at);
    const int64_t n_inputs = request.n_inputs, n_steps = request.n_steps;
    size_t at = 0;
    const int32_t* steps = exchange.block<int32_t>(at, n_inputs);
    const int32_t* neurons = exchange.block<int32_t>(at, n_inputs);
    input_step.assign(steps, steps + n_inputs);
    input_neuron.assign(neurons, neurons + n_inputs);
    last_input = 0;
    clock.dt[0] = request.dt;
    clock.timestep[0] = 0;
    clock.t[0] = 0;
    for (auto& layer : layers) layer.clear();

    const auto start = std::chrono::steady_clock::now();
    for (int64_t sample = 0; sample < request.n_samples; sample++) {
      for (auto& layer : layers) layer.rest();
      for (int64_t step = 0; step < n_steps; step++) {
        for (auto& object : network.objects) object.second();
        clock.tick();
      }
      for (auto& layer : layers) layer.offset.push_back(layer.neuron.size());
    }
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;

    const size_t records_at = at;
    size_t end = records_at;
    for (const auto& layer : layers) end += layer.bytes();
    exchange.grow(end);
    for (const auto& layer : layers) layer.store(exchange, at, request.dt, n_steps);
    const Answer answer = {MAGIC, int64_t(exchange.bytes()), int64_t(records_at),
                           spent.count()};
    if (send(socket, &answer, sizeof answer, MSG_NOSIGNAL) != sizeof answer) break;
  }
  _exit(0);  // not through Brian2's end, which writes every array to disk
}

}  // namespace bsnn
