// What a program of a network of any neurons is made of on a GPU: as graph_parts.h, with
// numbers of arrays and of pieces of code in place of pointers to them.
#pragma once
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <initializer_list>
#include <unistd.h>
#include <vector>

#include "graph_visits.h"

namespace bsnn {

inline void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  std::fprintf(stderr, "%s failed: %s\n", what, cudaGetErrorString(status));
  _exit(3);
}

// Memory of the GPU that is kept from one request to the next, and handed out in blocks.
class Room {
  char* base_ = nullptr;
  size_t bytes_ = 0, at_ = 0;

 public:
  static size_t whole(size_t bytes) { return (bytes + 127) & ~size_t(127); }

  // What was handed out before is gone.
  char* reserve(size_t bytes, const char* what) {
    at_ = 0;
    if (bytes > bytes_) {
      if (base_) check(cudaFree(base_), "freeing memory of the GPU");
      check(cudaMalloc((void**)&base_, bytes), what);
      bytes_ = bytes;
    }
    return base_;
  }
  template <class T>
  T* take(size_t n) {
    T* const first = reinterpret_cast<T*>(base_ + at_);
    at_ += whole(n * sizeof(T));
    return first;
  }
  template <class T>
  T* take(const std::vector<T>& values) {
    T* const first = take<T>(values.size());
    fill(first, values.data(), values.size() * sizeof(T));
    return first;
  }
  static void fill(void* to, const void* from, size_t bytes) {
    if (bytes) check(cudaMemcpy(to, from, bytes, cudaMemcpyHostToDevice), "copying to the GPU");
  }
  static void fetch(void* to, const void* from, size_t bytes) {
    if (bytes) check(cudaMemcpy(to, from, bytes, cudaMemcpyDeviceToHost), "copying from the GPU");
  }
};

// Some values that never change, on both sides.
template <class T>
struct List {
  int n = 0;
  const T *here = nullptr, *there = nullptr;

  List() = default;
  List(std::initializer_list<T> values) : n(values.size()) {
    T* const kept = new T[n + 1];
    std::copy(values.begin(), values.end(), kept);
    T* copied;
    check(cudaMalloc((void**)&copied, (n + 1) * sizeof(T)), "taking memory of the GPU");
    Room::fill(copied, kept, n * sizeof(T));
    here = kept;
    there = copied;
  }
  __device__ const T& operator[](int k) const { return there[k]; }
};

struct Array {
  int array;
  int64_t n;
  bool shared;
};

struct Added {
  int state;
  bool freezes;
};

// Offsets are those of what a replica keeps of its sample.
struct Population {
  int64_t n;
  int fires;  // what the thresholder writes; -1 of inputs
  List<int> state, before, end, lambda;
  int free = -1, open = -1, last_spike = -1;
  List<int> recorded;
  List<Array> parameters, currents, learned, current_gradients;
  List<int> normal;
  bool can_freeze;
  int index;
  List<int> gains;
  bool at_once;
  List<int> arrived, flags, slopes;
  int sent = -1, width = -1, height = -1;
  int reset = -1, update = -1, crossing = -1, release = -1, worth = -1, spike = -1;

  // Of the request.
  bool inputs;
  int64_t n_slots;            // as in C++
  int64_t room;               // spikes of a sample for which there is room
  const int64_t* offset;      // spikes of each sample: of inputs, or those that losses have
  const int32_t *given_step, *given_neuron;  // of inputs
  double* total;              // dL/dT of all samples, or null
  const Real* existing;
  // The first of some of the job's pointers, one each of states, currents and traces.
  int initial, given_current, trace, by_trace, by_current;
  size_t step, neuron, start, after, tape, tape_free, tape_open, last;
  size_t released, released_spike, released_start;
  size_t time, slope, by, there, index_there, past, past_flags, sent_tape;
  size_t gathered;            // dL/dp of a replica's samples

  __host__ __device__ int64_t n_moved() const {
    return state.n + parameters.n + currents.n + normal.n;
  }
};

struct Connection {
  int source, target;
  int64_t n_pre, n_post;
  int64_t delay, n_weights, n_pairs;
  bool dense, by_source, learns_delay;
  int forward, backward;
  List<int> slopes;
  int worth;
  List<Added> added;

  // Of the request.
  const Real* weights;
  const int32_t* delays;
  const int64_t* row;
  const int32_t *pair_target, *shared;
  size_t future, gradient, by_delay;

  __host__ __device__ bool delayed() const { return added.n; }
  int64_t n_delays() const { return !delayed() ? 1 : by_source ? n_pre : n_joined(); }
  int64_t n_joined() const { return dense ? n_pre * n_post : n_pairs; }
};

struct Steps {
  List<int> groups, thresholds, resets;
};

// How long an array of the code objects is.
struct ArrayKind {
  int64_t n;
  size_t bytes;  // of each of its values
};

// Where it lies, in what replicas share or in each of them.
struct Place {
  size_t at;
  bool shared;
};

// What a launch is told.
struct Job {
  Population* populations;
  Connection* connections;
  Steps steps;
  const Place* places;
  void** pointers;
  char *shared, *replicas;
  size_t stride;              // bytes of a replica
  const double* of_spikes;
  int64_t first, n_steps;     // the sample of the first block
  double dt;
  uint64_t seed, first_sample;
  bool taping, watching, by_inputs;
  unsigned long long *broken;       // of each sample, the first number that is none
  unsigned long long *differs, *clamped;
};

}  // namespace bsnn
