// The loop of a resident program: wait for a request, simulate its samples one after
// another, leave the recorded spikes in shared memory, answer; until the socket closes.
#include "resident.h"

#include <chrono>

namespace bsnn {

template <class Real>
void serve(const Codes& codes, Clock& clock, std::vector<int32_t>& input_step,
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
        for (auto code : codes) code();
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

template void serve(const Codes&, Clock&, std::vector<int32_t>&, std::vector<int32_t>&,
                    int32_t&, std::vector<Layer<float>>, Bind);
template void serve(const Codes&, Clock&, std::vector<int32_t>&, std::vector<int32_t>&,
                    int32_t&, std::vector<Layer<double>>, Bind);

}  // namespace bsnn
