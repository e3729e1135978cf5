// The loop of resident.cpp on a GPU, with R replicas of the network side by side: sample
// m is trial m / R of replica m % R, neuron i of replica r is number r * n + i.
#pragma once
#include <algorithm>
#include <chrono>
#include <thrust/binary_search.h>
#include <thrust/copy.h>
#include <thrust/device_vector.h>
#include <thrust/fill.h>
#include <thrust/gather.h>
#include <thrust/sequence.h>
#include <thrust/sort.h>
#include <thrust/transform.h>
#include <vector>

#include "protocol.h"
#include "trials.cuh"

namespace bsnn {

#ifndef BSNN_FIRST_ROOM
#define BSNN_FIRST_ROOM (1 << 16)  // spikes of a layer or of the input
#endif

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
// A digit of such a number.
struct Digit {
  int64_t unit, base;
  __host__ __device__ int32_t operator()(int64_t place) const {
    return int32_t(place / unit % base);
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
  thrust::device_vector<int64_t> place, sample, first;
  thrust::device_vector<int32_t> order, digit;
  thrust::device_vector<Real> sorted;

  void make_room(size_t room) {
    neuron.resize(room);
    time.resize(room);
    for (auto* values : recorded_state) values->resize(room);
  }
  void rest() {
    for (Real* variable : state)
      CUDA_SAFE_CALL(cudaMemsetAsync(variable, 0, n_neurons * n_replicas * sizeof(Real)));
  }
  void hold(Trials::Held& arrays) const {
    arrays.push_back({thrust::raw_pointer_cast(neuron.data()), neuron.size()});
    arrays.push_back({thrust::raw_pointer_cast(time.data()), time.size()});
    for (auto* values : recorded_state)
      arrays.push_back({thrust::raw_pointer_cast(values->data()), values->size()});
  }
  // Whether all spikes were recorded; if not, there is room for them now.
  bool complete(int counted) {
    n = counted;
    if (n <= neuron.size()) return true;
    make_room(n + n / 2);
    return false;
  }
  void sort(double dt, int64_t n_steps, int64_t n_samples) {
    place.resize(n);
    order.resize(n);
    thrust::sequence(order.begin(), order.end());
    thrust::transform(order.begin(), order.end(), place.begin(),
                      Place{thrust::raw_pointer_cast(neuron.data()),
                            thrust::raw_pointer_cast(time.data()), dt, n_steps,
                            int64_t(n_neurons), int64_t(n_replicas)});
    thrust::sort_by_key(place.begin(), place.end(), order.begin());
    sample.resize(n_samples + 1);
    first.resize(n_samples + 1);
    const int64_t places = n_steps * int64_t(n_neurons);  // of a sample
    thrust::sequence(sample.begin(), sample.end(), int64_t(0), places);
    thrust::lower_bound(place.begin(), place.end(), sample.begin(), sample.end(),
                        first.begin());
    offset.resize(n_samples + 1);
    thrust::copy(first.begin(), first.end(), offset.begin());
  }
  size_t bytes() const {
    return aligned(offset.size() * 8) + 2 * aligned(n * 4) +
           recorded_state.size() * aligned(n * sizeof(Real));
  }
  char* store(char* to, int64_t n_steps) {
    std::memcpy(to, offset.data(), offset.size() * 8);
    to += aligned(offset.size() * 8);
    digit.resize(n);
    for (Digit part : {Digit{1, int64_t(n_neurons)}, Digit{int64_t(n_neurons), n_steps}}) {
      thrust::transform(place.begin(), place.end(), digit.begin(), part);
      thrust::copy(digit.begin(), digit.end(), reinterpret_cast<int32_t*>(to));
      to += aligned(n * 4);
    }
    sorted.resize(n);
    for (auto* values : recorded_state) {
      thrust::gather(order.begin(), order.end(), values->begin(), sorted.begin());
      thrust::copy(sorted.begin(), sorted.end(), reinterpret_cast<Real*>(to));
      to += aligned(n * sizeof(Real));
    }
    return to;
  }
};

// Order of the input: by step of the run, then replica and neuron, as a number.
struct Arrival {
  int64_t n_steps, n_inputs, n_replicas;
  __host__ __device__ int64_t operator()(int32_t step, int32_t neuron) const {
    const int64_t sample = step / n_steps;
    const int64_t bin = sample / n_replicas * n_steps + step % n_steps;
    return (bin * n_replicas + sample % n_replicas) * n_inputs + neuron;
  }
};

struct Inputs {
  thrust::device_vector<int32_t>&bin, &index;  // of the network; the rest never comes
  int64_t n_inputs, n_replicas;
  thrust::device_vector<int32_t> step, neuron;
  thrust::device_vector<int64_t> place;

  void make_room(size_t room) {
    bin.resize(room);
    index.resize(room);
  }
  void hold(Trials::Held& arrays) const {
    arrays.push_back({thrust::raw_pointer_cast(bin.data()), bin.size()});
    arrays.push_back({thrust::raw_pointer_cast(index.data()), index.size()});
  }
  void send(const int32_t* steps, const int32_t* neurons, int64_t n, int64_t n_steps) {
    if (n > int64_t(bin.size())) make_room(n + n / 2);
    step.assign(steps, steps + n);
    neuron.assign(neurons, neurons + n);
    place.resize(n);
    thrust::transform(step.begin(), step.end(), neuron.begin(), place.begin(),
                      Arrival{n_steps, n_inputs, n_replicas});
    thrust::sort(place.begin(), place.end());
    const int64_t width = n_inputs * n_replicas;
    thrust::transform(place.begin(), place.end(), index.begin(), Digit{1, width});
    thrust::transform(place.begin(), place.end(), bin.begin(), Digit{width, INT32_MAX});
    thrust::fill(bin.begin() + n, bin.end(), INT32_MAX);
  }
};

template <class Real, class Bind>
void serve(Network& network, Clock& clock, Inputs inputs, std::vector<Layer<Real>> layers,
           Bind bind) {
  const int socket = descriptor("BSNN_SOCKET");
  Segment weights(descriptor("BSNN_WEIGHTS"), PROT_READ);
  Segment exchange(descriptor("BSNN_EXCHANGE"), PROT_READ | PROT_WRITE);
  wake_at_parents_death();
  weights.map_all();
  std::vector<int> counted(layers.size() + 1);
  const size_t counter_bytes = counted.size() * sizeof(int);
  CUDA_SAFE_CALL(cudaMalloc((void**)&counters, counter_bytes));
  CUDA_SAFE_CALL(cudaMemset(counters, 0, counter_bytes));
  inputs.make_room(BSNN_FIRST_ROOM);
  for (auto& layer : layers) layer.make_room(BSNN_FIRST_ROOM);
  Trials trials(network, clock);
  Request request;
  while (receive(socket, request)) {
    exchange.map(request.exchange_bytes);
    bind(weights, request.weights_at);
    const int64_t n_steps = request.n_steps, n_samples = request.n_samples;
    // One even for no sample: there are no kernels of no blocks.
    const int64_t n_busy = std::clamp(n_samples, int64_t(1), inputs.n_replicas);
    const size_t block = aligned(request.n_inputs * 4);
    inputs.send(reinterpret_cast<const int32_t*>(exchange.at(0)),
                reinterpret_cast<const int32_t*>(exchange.at(block)), request.n_inputs,
                n_steps);

    const auto start = std::chrono::steady_clock::now();
    for (bool complete = false; !complete;) {
      Trials::Held arrays;
      inputs.hold(arrays);
      for (auto& layer : layers) layer.hold(arrays);
      trials.prepare(request.dt, n_steps, n_busy, arrays);
      CUDA_SAFE_CALL(cudaMemset(counters, 0, counter_bytes));
      for (int64_t trial = 0; trial * inputs.n_replicas < n_samples; trial++) {
        for (auto& layer : layers) layer.rest();
        trials.run(trial);
      }
      CUDA_SAFE_CALL(
          cudaMemcpy(counted.data(), counters, counter_bytes, cudaMemcpyDeviceToHost));
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
    for (auto& layer : layers) to = layer.store(to, n_steps);
    const Answer answer = {MAGIC, int64_t(exchange.bytes()), int64_t(records_at),
                           spent.count()};
    if (send(socket, &answer, sizeof answer, MSG_NOSIGNAL) != sizeof answer) break;
  }
  _exit(0);  // not through Brian2's end, which writes every array to disk
}

}  // namespace bsnn
