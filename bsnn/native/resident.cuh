// The loop of resident.h on a GPU, with R replicas of the network side by side: sample
// m is trial m / R of replica m % R, neuron i of replica r is number r * n + i.
#pragma once
#include <chrono>
#include <numeric>
#include <thrust/copy.h>
#include <thrust/device_vector.h>
#include <thrust/gather.h>
#include <thrust/sequence.h>
#include <thrust/sort.h>
#include <vector>

#include "brianlib/clocks.h"
#include "brianlib/cuda_utils.h"
#include "network.h"
#include "protocol.h"
#include "replicas.cuh"

namespace bsnn {

const size_t FIRST_ROOM = 1 << 16;  // spikes of a layer

static int* counters = nullptr;
inline void count_layers(size_t n) {
  CUDA_SAFE_CALL(cudaMalloc((void**)&counters, (n + 1) * sizeof(int)));
}
int* recorded(int layer) { return counters + layer; }

// Weights stay on the GPU and are sent again when they have changed.
template <class Real>
void bind_weights(Segment& segment, size_t& at, Real* host, Real* device, size_t size) {
  const size_t bytes = size * sizeof(Real);
  if (std::memcmp(host, segment.at(at), bytes)) {
    std::memcpy(host, segment.at(at), bytes);
    CUDA_SAFE_CALL(cudaMemcpy(device, host, bytes, cudaMemcpyHostToDevice));
  }
  at += aligned(bytes);
}

// Order of the records: by sample, step and neuron, as a number.
struct Place {
  const int32_t* neuron;
  const double* time;
  double dt;
  int64_t n_steps, n_neurons, n_replicas;
  __host__ __device__ int64_t operator()(int32_t k) const {
    const int64_t step = int64_t(time[k] / dt + 0.5), replica = neuron[k] / n_neurons;
    const int64_t sample = step / n_steps * n_replicas + replica;
    return (sample * n_steps + step % n_steps) * n_neurons + neuron[k] % n_neurons;
  }
};

template <class Real>
struct Layer {
  thrust::device_vector<int32_t>& neuron;
  thrust::device_vector<double>& time;
  std::vector<thrust::device_vector<Real>*> recorded_state;
  std::vector<Real*> state;
  size_t n_neurons, n_replicas;  // neurons of one replica
  size_t n = 0;                  // spikes recorded
  std::vector<int64_t> offset;
  thrust::host_vector<int64_t> place;
  thrust::device_vector<int32_t> order;

  void make_room(size_t room) {
    neuron.resize(room);
    time.resize(room);
    for (auto* values : recorded_state) values->resize(room);
  }
  void rest() {
    for (Real* variable : state)
      CUDA_SAFE_CALL(cudaMemsetAsync(variable, 0, n_neurons * n_replicas * sizeof(Real)));
  }
  // Whether all spikes were recorded; if not, there is room for them now.
  bool complete(int counted) {
    n = counted;
    if (n <= neuron.size()) return true;
    make_room(n + n / 2);
    return false;
  }
  void sort(double dt, int64_t n_steps, int64_t n_samples) {
    thrust::device_vector<int64_t> key(n);
    order.resize(n);
    thrust::sequence(order.begin(), order.end());
    thrust::transform(order.begin(), order.end(), key.begin(),
                      Place{thrust::raw_pointer_cast(neuron.data()),
                            thrust::raw_pointer_cast(time.data()), dt, n_steps,
                            int64_t(n_neurons), int64_t(n_replicas)});
    thrust::sort_by_key(key.begin(), key.end(), order.begin());
    place = key;
    offset.assign(n_samples + 1, 0);
    for (int64_t at : place) offset[at / (n_steps * int64_t(n_neurons)) + 1]++;
    std::partial_sum(offset.begin(), offset.end(), offset.begin());
  }
  size_t bytes() const {
    return aligned(offset.size() * 8) + 2 * aligned(n * 4) +
           recorded_state.size() * aligned(n * sizeof(Real));
  }
  char* store(char* to, int64_t n_steps) const {
    std::memcpy(to, offset.data(), offset.size() * 8);
    to += aligned(offset.size() * 8);
    int32_t* index = reinterpret_cast<int32_t*>(to);
    to += aligned(n * 4);
    int32_t* step = reinterpret_cast<int32_t*>(to);
    to += aligned(n * 4);
    for (size_t k = 0; k < n; k++) {
      index[k] = int32_t(place[k] % int64_t(n_neurons));
      step[k] = int32_t(place[k] / int64_t(n_neurons) % n_steps);
    }
    thrust::device_vector<Real> sorted(n);
    for (auto* values : recorded_state) {
      thrust::gather(order.begin(), order.end(), values->begin(), sorted.begin());
      thrust::copy(sorted.begin(), sorted.end(), reinterpret_cast<Real*>(to));
      to += aligned(n * sizeof(Real));
    }
    return to;
  }
};

// Orders the input by step of the run, then replica and neuron.
inline void send_inputs(const int32_t* steps, const int32_t* neurons, int64_t n,
                        int64_t n_steps, int64_t n_inputs, int64_t n_replicas,
                        thrust::device_vector<int32_t>& bins,
                        thrust::device_vector<int32_t>& index) {
  const int64_t width = n_inputs * n_replicas;
  thrust::host_vector<int64_t> key(n);
  for (int64_t k = 0; k < n; k++) {
    const int64_t sample = steps[k] / n_steps;
    const int64_t step = sample / n_replicas * n_steps + steps[k] % n_steps;
    key[k] = step * width + sample % n_replicas * n_inputs + neurons[k];
  }
  thrust::device_vector<int64_t> sorted = key;
  thrust::sort(sorted.begin(), sorted.end());
  key = sorted;
  thrust::host_vector<int32_t> bin(n), neuron(n);
  for (int64_t k = 0; k < n; k++) bin[k] = key[k] / width, neuron[k] = key[k] % width;
  bins = bin;
  index = neuron;
}

template <class Real, class Bind>
void serve(Network& network, Clock& clock, thrust::device_vector<int32_t>& input_bin,
           thrust::device_vector<int32_t>& input_neuron, int64_t n_inputs,
           int64_t n_replicas, std::vector<Layer<Real>> layers, Bind bind) {
  const int socket = descriptor("BSNN_SOCKET");
  Segment weights(descriptor("BSNN_WEIGHTS"), PROT_READ);
  Segment exchange(descriptor("BSNN_EXCHANGE"), PROT_READ | PROT_WRITE);
  wake_at_parents_death();
  weights.map_all();
  count_layers(layers.size());
  for (auto& layer : layers) layer.make_room(FIRST_ROOM);
  Request request;
  while (receive(socket, request)) {
    exchange.map(request.exchange_bytes);
    bind(weights);
    const int64_t n_steps = request.n_steps, n_samples = request.n_samples;
    const size_t block = aligned(request.n_inputs * 4);
    send_inputs(reinterpret_cast<const int32_t*>(exchange.at(0)),
                reinterpret_cast<const int32_t*>(exchange.at(block)), request.n_inputs,
                n_steps, n_inputs, n_replicas, input_bin, input_neuron);
    clock.dt[0] = request.dt;

    const auto start = std::chrono::steady_clock::now();
    std::vector<int> counted(layers.size() + 1);
    for (bool complete = false; !complete;) {
      clock.timestep[0] = 0;
      clock.t[0] = 0;
      const size_t bytes = counted.size() * sizeof(int);
      CUDA_SAFE_CALL(cudaMemset(counters, 0, bytes));
      for (int64_t trial = 0; trial * n_replicas < n_samples; trial++) {
        for (auto& layer : layers) layer.rest();
        for (int64_t step = 0; step < n_steps; step++) {
          for (auto& object : network.objects)
            if (object.second) object.second();
          clock.tick();
        }
      }
      CUDA_SAFE_CALL(cudaMemcpy(counted.data(), counters, bytes, cudaMemcpyDeviceToHost));
      complete = true;
      for (size_t k = 0; k < layers.size(); k++)
        complete &= layers[k].complete(counted[k + 1]);
    }
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;

    const size_t records_at = 2 * block;
    size_t end = records_at;
    for (auto& layer : layers) {
      layer.sort(request.dt, n_steps, n_samples);
      end += layer.bytes();
    }
    exchange.grow(end);
    char* to = exchange.at(records_at);
    for (const auto& layer : layers) to = layer.store(to, n_steps);
    const Answer answer = {MAGIC, int64_t(exchange.bytes()), int64_t(records_at),
                           spent.count()};
    if (send(socket, &answer, sizeof answer, MSG_NOSIGNAL) != sizeof answer) break;
  }
  _exit(0);  // not through Brian2's end, which writes every array to disk
}

}  // namespace bsnn
