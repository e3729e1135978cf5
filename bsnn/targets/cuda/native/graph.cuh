// The loop of a resident program of a network of any neurons on a GPU: wait for a request,
// give each of R replicas, a block of threads, a sample at a time, and answer as graph.cpp.
//
// Nothing is summed in an order that could change: threads own what they add to, and
// derivatives are summed by replica, in the order of its samples, then over replicas. So
// they are the same bits for the same number of replicas, and only then.
#pragma once
#include <algorithm>
#include <chrono>
#include <string>

#include "graph_adjoint.cuh"
#include "protocol.h"

namespace bsnn {

#ifndef BSNN_MOST_THREADS
#define BSNN_MOST_THREADS 256
#endif
const int REPLICAS_PER_MULTIPROCESSOR = 8;

__global__ void __launch_bounds__(BSNN_MOST_THREADS) simulate_samples(Job job) {
  __shared__ Block own;
  Adjoint(job, own).forward();
}

__global__ void __launch_bounds__(BSNN_MOST_THREADS) pull_back_samples(Job job) {
  __shared__ Block own;
  Adjoint(job, own).backward();
}

// How many spikes each replica's sample has of each population.
__global__ void count_spikes(Job job, int64_t* counts) {
  const char* const base = job.replicas + blockIdx.x * job.stride;
  BSNN_EACH(k, N_POPULATIONS) {
    const int64_t* const start = reinterpret_cast<const int64_t*>(base + job.populations[k].start);
    counts[blockIdx.x * N_POPULATIONS + k] = start[job.n_steps];
  }
}

// Put the spikes of replicas' samples of a population beside each other.
__global__ void collect_spikes(Job job, int k, const int64_t* offset, int32_t* neuron, int32_t* step) {
  const Population& p = job.populations[k];
  const char* const base = job.replicas + blockIdx.x * job.stride;
  const int32_t* const from_neuron = reinterpret_cast<const int32_t*>(base + p.neuron);
  const int32_t* const from_step = reinterpret_cast<const int32_t*>(base + p.step);
  const int64_t at = offset[blockIdx.x];
  BSNN_EACH(z, offset[blockIdx.x + 1] - at) {
    neuron[at + z] = from_neuron[z];
    step[at + z] = from_step[z];
  }
}

template <class T>
__device__ void add_up(Job job, size_t at, int64_t n, int64_t n_replicas, T* to) {
  for (int64_t k = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; k < n;
       k += int64_t(gridDim.x) * blockDim.x) {
    T all = 0;
    for (int64_t r = 0; r < n_replicas; r++)
      all += reinterpret_cast<const T*>(job.replicas + r * job.stride + at)[k];
    to[k] = all;
  }
}
__global__ void add_reals(Job job, size_t at, int64_t n, int64_t n_replicas, Real* to) {
  add_up(job, at, n, n_replicas, to);
}
__global__ void add_doubles(Job job, size_t at, int64_t n, int64_t n_replicas, double* to) {
  add_up(job, at, n, n_replicas, to);
}

// Data that lies in a shared segment, on the GPU.
class Mirror {
  Room room_;
  char* base_ = nullptr;
  size_t first_ = 0;

 public:
  void begin(size_t first, size_t bytes) {
    first_ = first;
    base_ = room_.reserve(std::max(bytes, size_t(1)), "taking memory of the GPU for a batch");
  }
  template <class T>
  T* block(const Segment& segment, size_t& at, size_t n) const {
    T* const there = reinterpret_cast<T*>(base_ + (at - first_));
    segment.block<T>(at, n);
    return there;
  }
  void copy(const Segment& segment, size_t end) const {
    Room::fill(base_, segment.at(first_), end - first_);
  }
};

class Program {
  const int socket_ = descriptor("BSNN_SOCKET");
  std::vector<Population> pops_;
  std::vector<Connection> connections_;
  const Steps steps_;
  const std::vector<ArrayKind> arrays_;
  Segment data_, exchange_;
  Mirror data_there_, exchange_there_;
  Room parts_, shared_, replicas_, answer_;
  Request request_;
  Job job_;
  int64_t replicas_wanted_, n_replicas_;
  bool backwards_;
  std::vector<int64_t> existing_;
  std::vector<void*> pointers_;
  std::vector<std::vector<int64_t>> offset_;    // spikes of each sample, as given
  std::vector<const int32_t*> shared_weights_;  // of a pattern, here
  std::vector<double> of_spikes_;

 public:
  Program(std::vector<Population> pops, std::vector<Connection> connections, Steps steps,
          std::vector<ArrayKind> arrays)
      : pops_(pops), connections_(connections), steps_(steps), arrays_(arrays),
        data_(descriptor("BSNN_WEIGHTS"), PROT_READ),
        exchange_(descriptor("BSNN_EXCHANGE"), PROT_READ | PROT_WRITE) {
    for (auto& p : pops_) p.inputs = p.fires < 0 && !p.state.n;
  }

  void serve() {
    wake_at_parents_death();
    data_.map_all();
    while (receive(socket_, request_)) {
      exchange_.map(request_.exchange_bytes);
      const auto start = std::chrono::steady_clock::now();
      const size_t answer_at = answer();
      const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
      const Answer sent = {MAGIC, int64_t(exchange_.bytes()), int64_t(answer_at), spent.count()};
      if (send(socket_, &sent, sizeof sent, MSG_NOSIGNAL) != sizeof sent) break;
    }
    _exit(0);
  }

 private:
  size_t answer() {
    size_t at = 0;
    exchange_there_.begin(0, exchange_.bytes());
    const int64_t* const table = exchange_.block<int64_t>(at, request_.n_inputs);
    backwards_ = table[0];
    replicas_wanted_ = table[5];
    for (size_t c = 0; c < connections_.size(); c++) {
      connections_[c].delay = table[7 + 3 * c];
      connections_[c].n_weights = table[8 + 3 * c];
      connections_[c].n_pairs = table[9 + 3 * c];
    }
    existing_.assign(table + 7 + 3 * connections_.size(), table + request_.n_inputs);
    job_ = {};
    job_.steps = steps_;
    job_.n_steps = request_.n_steps;
    job_.dt = request_.dt;
    job_.seed = table[1];
    job_.first_sample = table[2];
    job_.by_inputs = table[4];
    job_.taping = backwards_;
    pointers_.clear();
    read_data();
    read_inputs(at);
    return backwards_ ? pull_back(at) : run(at);
  }

  int64_t n_samples() const { return request_.n_samples; }

  // Weights and delays are read where they were copied to; parameters go where the code
  // objects read them.
  void read_data() {
    size_t at = request_.weights_at;
    const size_t first = at;
    data_there_.begin(first, data_.bytes() - first);
    for (auto& c : connections_) c.weights = data_there_.block<Real>(data_, at, c.n_weights);
    std::vector<char> shared;
    lay_shared(shared);
    for (auto& p : pops_) {
      for (int q = 0; q < p.parameters.n; q++) {
        const Array& given = p.parameters.here[q];
        put(shared, given.array, data_.block<Real>(at, given.n), given.n);
      }
      p.initial = pointers_.size();
      for (int s = 0; s < p.state.n; s++) pointers_.push_back(data_there_.block<Real>(data_, at, p.n));
    }
    size_t here = at;
    const double* const of_spikes = data_.block<double>(here, 2 * pops_.size());
    job_.of_spikes = data_there_.block<double>(data_, at, 2 * pops_.size());
    for (size_t k = 0; k < pops_.size(); k++) {
      auto& p = pops_[k];
      p.n_slots = 0;
      if (!p.inputs) {
        std::vector<int32_t> index(p.n);
        for (int64_t j = 0; j < p.n; j++) index[j] = j;
        put(shared, p.index, index.data(), p.n);
      }
      if (p.sent < 0) continue;
      const Real width = of_spikes[k], height = of_spikes[pops_.size() + k];
      put(shared, p.width, &width, 1);
      put(shared, p.height, &height, 1);
    }
    put(shared, AT_DT, &request_.dt, 1);
    for (auto& c : connections_) {
      if (!c.delayed()) continue;
      c.delays = data_there_.block<int32_t>(data_, at, c.n_delays());
      auto& n_slots = pops_[c.target].n_slots;
      n_slots = std::max(n_slots, c.delay + 1);
    }
    shared_weights_.assign(connections_.size(), nullptr);
    for (size_t k = 0; k < connections_.size(); k++) {
      auto& c = connections_[k];
      if (c.dense) continue;
      c.row = data_there_.block<int64_t>(data_, at, c.n_pre + 1);
      c.pair_target = data_there_.block<int32_t>(data_, at, c.n_pairs);
      size_t there = at;
      shared_weights_[k] = data_.block<int32_t>(there, c.n_pairs);
      c.shared = data_there_.block<int32_t>(data_, at, c.n_pairs);
    }
    data_there_.copy(data_, at);
    job_.shared = shared_.reserve(std::max(shared.size(), size_t(1)), "taking memory of the GPU");
    Room::fill(job_.shared, shared.data(), shared.size());
  }

  std::vector<Place> places_;
  size_t own_bytes_;  // of a replica's arrays

  // Where arrays lie: those that no step changes once, others in every replica.
  void lay_shared(std::vector<char>& shared) {
    std::vector<char> is_shared(arrays_.size(), 0);
    is_shared[AT_DT] = 1;
    for (auto& p : pops_) {
      for (int q = 0; q < p.parameters.n; q++) is_shared[p.parameters.here[q].array] = 1;
      if (!p.inputs) is_shared[p.index] = 1;
      if (p.sent >= 0) is_shared[p.width] = is_shared[p.height] = 1;
    }
    places_.clear();
    own_bytes_ = 0;
    size_t shared_bytes = 0;
    for (size_t k = 0; k < arrays_.size(); k++) {
      size_t& at = is_shared[k] ? shared_bytes : own_bytes_;
      places_.push_back({at, bool(is_shared[k])});
      at += Room::whole(arrays_[k].n * arrays_[k].bytes);
    }
    shared.assign(shared_bytes, 0);
  }

  template <class T>
  void put(std::vector<char>& shared, int array, const T* values, int64_t n) {
    std::memcpy(shared.data() + places_[array].at, values, n * sizeof(T));
  }

  void read_inputs(size_t& at) {
    const int64_t m = n_samples();
    offset_.assign(pops_.size(), {});
    for (size_t k = 0; k < pops_.size(); k++) {
      auto& p = pops_[k];
      p.total = nullptr;
      p.existing = nullptr;
      p.offset = nullptr;
      if (p.inputs) {
        read_offset(k, at);
        p.given_step = exchange_there_.block<int32_t>(exchange_, at, offset_[k][m]);
        p.given_neuron = exchange_there_.block<int32_t>(exchange_, at, offset_[k][m]);
      }
      p.given_current = pointers_.size();
      for (int c = 0; c < p.currents.n; c++)
        pointers_.push_back(exchange_there_.block<Real>(exchange_, at, m * job_.n_steps * p.currents.here[c].n));
    }
  }

  void read_offset(size_t k, size_t& at) {
    size_t here = at;
    const int64_t* const offset = exchange_.block<int64_t>(here, n_samples() + 1);
    offset_[k].assign(offset, offset + n_samples() + 1);
    pops_[k].offset = exchange_there_.block<int64_t>(exchange_, at, n_samples() + 1);
  }

  void read_losses(size_t& at) {
    const int64_t m = n_samples();
    for (size_t k = 0; k < pops_.size(); k++) {
      auto& p = pops_[k];
      if (p.fires >= 0) {
        read_offset(k, at);
        p.total = exchange_there_.block<double>(exchange_, at, offset_[k][m]);
      }
      p.by_trace = pointers_.size();
      for (int r = 0; r < p.recorded.n; r++)
        pointers_.push_back(exchange_there_.block<Real>(exchange_, at, m * job_.n_steps * p.n));
      if (p.sent >= 0 && existing_[k])
        p.existing = exchange_there_.block<Real>(exchange_, at, m * job_.n_steps * p.n);
    }
  }

  // How many spikes of a sample there must be room for.
  int64_t room_of(size_t k) const {
    const auto& p = pops_[k];
    if (p.fires < 0) return 0;
    if (!backwards_) return job_.n_steps * p.n;
    int64_t most = 0;
    for (int64_t sample = 0; sample < n_samples(); sample++)
      most = std::max(most, offset_[k][sample + 1] - offset_[k][sample]);
    return most;
  }

  // Give everything that a replica keeps a place.
  void lay_replica() {
    size_t end = own_bytes_;
    const auto lay = [&](size_t& at, size_t n, size_t bytes) {
      at = end;
      end += Room::whole(n * bytes);
    };
    for (size_t k = 0; k < pops_.size(); k++) {
      auto& p = pops_[k];
      const int64_t steps = job_.n_steps, states = p.state.n, z = p.room = room_of(k);
      lay(p.start, steps + 1, 8);
      if (p.inputs) continue;
      lay(p.neuron, z, 4);
      lay(p.step, z, 4);
      if (!backwards_) continue;
      lay(p.after, z * states, sizeof(Real));
      lay(p.tape, (steps + 1) * states * p.n, sizeof(Real));
      lay(p.last, p.n, 8);
      lay(p.released_start, steps + 1, 8);
      if (p.free >= 0) {
        lay(p.tape_free, steps * p.n, 1);
        lay(p.tape_open, steps * p.n, 1);
        lay(p.released, z, 4);
        lay(p.released_spike, z, 8);
      }
      lay(p.time, z, sizeof(Real));
      lay(p.slope, z, sizeof(Real));
      lay(p.by, z * p.gains.n, sizeof(Real));
      lay(p.there, z * p.n_moved(), sizeof(Real));
      lay(p.index_there, z, 4);
      lay(p.past, p.n_slots * p.n * p.arrived.n, sizeof(Real));
      lay(p.past_flags, p.n_slots * p.n * p.flags.n, 1);
      if (p.sent >= 0) lay(p.sent_tape, steps * p.n, sizeof(Real));
      lay(p.gathered, n_learned(p), 8);
    }
    for (auto& c : connections_) {
      lay(c.future, c.delayed() ? pops_[c.target].n_slots * c.n_post * c.added.n : 0, sizeof(Real));
      if (!backwards_) continue;
      lay(c.gradient, c.n_joined(), sizeof(Real));
      lay(c.by_delay, c.learns_delay ? c.n_delays() : 0, sizeof(Real));
    }
    job_.stride = end;
  }

  static int64_t n_learned(const Population& p) {
    int64_t n = 0;
    for (int q = 0; q < p.learned.n; q++) n += p.learned.here[q].n;
    return n;
  }

  // Upload what a request has made of populations and connections, and make replicas.
  void make_replicas() {
    lay_replica();
    size_t free, total;
    cudaDeviceProp card;
    check(cudaMemGetInfo(&free, &total), "asking for the memory of the GPU");
    check(cudaGetDeviceProperties(&card, 0), "asking for the properties of the GPU");
    // By the card's memory, not by what is free: the order of sums must not depend on that.
    const int64_t fitting = total / 4 * 3 / job_.stride;
    n_replicas_ = replicas_wanted_ ? replicas_wanted_
                                   : std::min(int64_t(card.multiProcessorCount) * REPLICAS_PER_MULTIPROCESSOR, fitting);
    n_replicas_ = std::max(std::min(n_replicas_, n_samples()), int64_t(1));
    const size_t bytes = n_replicas_ * job_.stride;
    const std::string what = "taking " + std::to_string(bytes >> 20) + " MiB of the GPU for " +
                             std::to_string(n_replicas_) + " replicas, which 'replicas' makes fewer,";
    job_.replicas = replicas_.reserve(bytes, what.c_str());
    if (backwards_) check(cudaMemset(job_.replicas, 0, bytes), "clearing memory of the GPU");
    const size_t n = Room::whole(pops_.size() * sizeof pops_[0]) +
                     Room::whole(connections_.size() * sizeof(Connection)) +
                     Room::whole(places_.size() * sizeof places_[0]) +
                     Room::whole(pointers_.size() * sizeof(void*)) +
                     Room::whole(n_samples() * 8) + 2 * Room::whole(8);
    parts_.reserve(n, "taking memory of the GPU");
    job_.populations = parts_.take(pops_);
    job_.connections = parts_.take(connections_);
    job_.places = parts_.take(places_);
    job_.pointers = parts_.take(pointers_);
    job_.broken = parts_.take(std::vector<unsigned long long>(n_samples(), ~0ull));
    job_.differs = parts_.take(std::vector<unsigned long long>(1, ~0ull));
    job_.clamped = parts_.take(std::vector<unsigned long long>(1, 0));
  }

  int n_threads() const {
    int64_t most = 1;
    for (auto& p : pops_) most = std::max(most, p.n);
    return int(std::min((most + 31) / 32 * 32, int64_t(BSNN_MOST_THREADS)));
  }

  static void finish(const char* what) {
    check(cudaGetLastError(), what);
    check(cudaDeviceSynchronize(), what);
  }

  size_t run(size_t at) {
    const int64_t m = n_samples(), n_steps = job_.n_steps;
    exchange_there_.copy(exchange_, at);
    size_t trace_bytes = 0, to = at;
    for (auto& p : pops_) trace_bytes += p.recorded.n * Room::whole(m * n_steps * p.n * sizeof(Real));
    answer_.reserve(std::max(trace_bytes, size_t(1)), "taking memory of the GPU for traces");
    std::vector<std::pair<Real*, size_t>> traces;
    for (auto& p : pops_) {
      p.trace = pointers_.size();
      for (int r = 0; r < p.recorded.n; r++) {
        traces.push_back({answer_.take<Real>(m * n_steps * p.n), size_t(m * n_steps * p.n)});
        pointers_.push_back(traces.back().first);
      }
    }
    make_replicas();
    std::vector<std::vector<int32_t>> neuron(pops_.size()), step(pops_.size());
    std::vector<std::vector<int64_t>> offset(pops_.size(), {0});
    for (job_.first = 0; job_.first < m; job_.first += n_replicas_) {
      const int64_t n_blocks = std::min(n_replicas_, m - job_.first);
      simulate_samples<<<n_blocks, n_threads()>>>(job_);
      finish("simulating");
      take_spikes(n_blocks, neuron, step, offset);
    }
    int64_t broken[5];
    find_broken(broken);
    for (auto& trace : traces) to += aligned(trace.second * sizeof(Real));
    size_t end = to + aligned(6 * 8);
    for (size_t k = 0; k < pops_.size(); k++)
      if (pops_[k].fires >= 0) end += aligned((m + 1) * 8) + 2 * aligned(neuron[k].size() * 4);
    exchange_.grow(end);
    to = at;
    for (auto& trace : traces)
      Room::fetch(exchange_.block<Real>(to, trace.second), trace.first, trace.second * sizeof(Real));
    int64_t* const status = exchange_.block<int64_t>(to, 6);
    std::copy(broken, broken + 5, status);
    status[5] = 0;  // crossings are found when they are wanted
    for (size_t k = 0; k < pops_.size(); k++) {
      if (pops_[k].fires < 0) continue;
      std::copy(offset[k].begin(), offset[k].end(), exchange_.block<int64_t>(to, m + 1));
      std::copy(neuron[k].begin(), neuron[k].end(), exchange_.block<int32_t>(to, neuron[k].size()));
      std::copy(step[k].begin(), step[k].end(), exchange_.block<int32_t>(to, step[k].size()));
    }
    return at;
  }

  Room found_;

  void take_spikes(int64_t n_blocks, std::vector<std::vector<int32_t>>& neuron,
                   std::vector<std::vector<int32_t>>& step, std::vector<std::vector<int64_t>>& offset) {
    const size_t n_counts = n_blocks * pops_.size();
    std::vector<int64_t> counts(n_counts);
    int64_t* const counted = reinterpret_cast<int64_t*>(found_.reserve(n_counts * 8, "taking memory of the GPU"));
    count_spikes<<<n_blocks, 32>>>(job_, counted);
    finish("counting spikes");
    Room::fetch(counts.data(), counted, n_counts * 8);
    for (size_t k = 0; k < pops_.size(); k++) {
      if (pops_[k].fires < 0) continue;
      std::vector<int64_t> bounds(1, 0);
      for (int64_t r = 0; r < n_blocks; r++) {
        bounds.push_back(bounds.back() + counts[r * pops_.size() + k]);
        offset[k].push_back(offset[k].back() + counts[r * pops_.size() + k]);
      }
      const int64_t n = bounds.back(), before = neuron[k].size();
      if (!n) continue;
      found_.reserve(Room::whole(bounds.size() * 8) + 2 * Room::whole(n * 4), "taking memory of the GPU for spikes");
      int64_t* const bounds_there = found_.take(bounds);
      int32_t* const neuron_there = found_.take<int32_t>(n);
      int32_t* const step_there = found_.take<int32_t>(n);
      collect_spikes<<<n_blocks, 128>>>(job_, int(k), bounds_there, neuron_there, step_there);
      finish("collecting spikes");
      neuron[k].resize(before + n);
      step[k].resize(before + n);
      Room::fetch(neuron[k].data() + before, neuron_there, n * 4);
      Room::fetch(step[k].data() + before, step_there, n * 4);
    }
  }

  // The first number that is none: population, variable, step, sample, neuron.
  void find_broken(int64_t* where) {
    std::fill(where, where + 5, 0);
    where[0] = -1;
    std::vector<unsigned long long> broken(n_samples());
    Room::fetch(broken.data(), job_.broken, broken.size() * 8);
    const auto first = std::find_if(broken.begin(), broken.end(), [](auto at) { return ~at; });
    if (first == broken.end()) return;
    job_.first = first - broken.begin();
    unsigned long long at = ~0ull;
    Room::fill(job_.broken + job_.first, &at, 8);
    job_.watching = true;
    simulate_samples<<<1, n_threads()>>>(job_);
    finish("simulating");
    job_.watching = false;
    Room::fetch(&at, job_.broken + job_.first, 8);
    int64_t place = at % N_STATES;
    for (size_t k = 0; k < pops_.size(); k++)
      for (int s = 0; s < pops_[k].state.n; s++, place -= pops_[k].n)
        if (place < pops_[k].n) {
          const int64_t found[] = {int64_t(k), s, int64_t(at / N_STATES), job_.first, place};
          std::copy(found, found + 5, where);
          return;
        }
  }

  size_t pull_back(size_t at) {
    const int64_t m = n_samples(), n_steps = job_.n_steps;
    read_losses(at);
    exchange_there_.copy(exchange_, at);
    const int64_t n_chunks = *exchange_.block<int64_t>(at, 2);
    exchange_.block<int64_t>(at, n_chunks + 1);
    size_t bytes = 0, largest = 0;
    for (auto& p : pops_) {
      for (int q = 0; q < p.current_gradients.n; q++)
        bytes += Room::whole(m * n_steps * p.current_gradients.here[q].n * sizeof(Real));
      if (p.inputs) bytes += Room::whole(offset_[&p - &pops_[0]][m] * 8);
      largest = std::max(largest, size_t(n_learned(p)) * 8);
    }
    for (auto& c : connections_)
      largest = std::max(largest, size_t(std::max(c.n_joined(), c.n_delays())) * sizeof(Real));
    answer_.reserve(std::max(bytes, size_t(1)), "taking memory of the GPU for derivatives");
    std::vector<std::pair<char*, size_t>> found;
    for (auto& p : pops_) {
      p.by_current = pointers_.size();
      for (int q = 0; q < p.current_gradients.n; q++) {
        const size_t n = m * n_steps * p.current_gradients.here[q].n;
        Real* const by_current = answer_.take<Real>(n);
        pointers_.push_back(by_current);
        found.push_back({reinterpret_cast<char*>(by_current), n * sizeof(Real)});
      }
      if (p.inputs) {
        const size_t n = offset_[&p - &pops_[0]][m];
        p.total = answer_.take<double>(n);
        found.push_back({reinterpret_cast<char*>(p.total), n * 8});
      }
    }
    for (auto& [there, n] : found) if (n) check(cudaMemset(there, 0, n), "clearing memory of the GPU");
    make_replicas();
    for (job_.first = 0; job_.first < m; job_.first += n_replicas_) {
      pull_back_samples<<<std::min(n_replicas_, m - job_.first), n_threads()>>>(job_);
      finish("pulling back");
    }
    size_t to = at, end = at + aligned(8 * 8);
    for (auto& [there, n] : found) end += aligned(n);
    for (auto& c : connections_) {
      end += aligned(c.n_weights * sizeof(Real));
      if (c.learns_delay) end += aligned(c.n_delays() * sizeof(Real));
    }
    for (auto& p : pops_)
      for (int q = 0; q < p.learned.n; q++) end += aligned(p.learned.here[q].n * 8);
    exchange_.grow(end);
    unsigned long long differs, clamped;
    Room::fetch(&differs, job_.differs, 8);
    Room::fetch(&clamped, job_.clamped, 8);
    const int64_t status[] = {-1, 0, 0, 0, 0, int64_t(differs), int64_t(clamped), 1};
    std::copy(status, status + 8, exchange_.block<int64_t>(to, 8));
    for (auto& [there, n] : found) Room::fetch(exchange_.block<char>(to, n), there, n);
    store_sums(to, largest);
    return at;
  }

  // What all replicas have gathered, once.
  void store_sums(size_t& to, size_t largest) {
    char* const all = found_.reserve(std::max(largest, size_t(1)), "taking memory of the GPU for derivatives");
    Real* const reals = reinterpret_cast<Real*>(all);
    double* const doubles = reinterpret_cast<double*>(all);
    for (size_t k = 0; k < connections_.size(); k++) {
      auto& c = connections_[k];
      const int64_t n = c.n_joined();
      add_reals<<<n_blocks_of(n), 128>>>(job_, c.gradient, n, n_replicas_, reals);
      finish("adding derivatives");
      Real* const weights = exchange_.block<Real>(to, c.n_weights);
      if (c.dense) {
        Room::fetch(weights, reals, n * sizeof(Real));
      } else {  // of each pair, until here
        std::vector<Real> of_pairs(n);
        Room::fetch(of_pairs.data(), reals, n * sizeof(Real));
        std::fill_n(weights, c.n_weights, Real(0));
        for (int64_t pair = 0; pair < n; pair++) weights[shared_weights_[k][pair]] += of_pairs[pair];
      }
      if (!c.learns_delay) continue;
      add_reals<<<n_blocks_of(c.n_delays()), 128>>>(job_, c.by_delay, c.n_delays(), n_replicas_, reals);
      finish("adding derivatives");
      Room::fetch(exchange_.block<Real>(to, c.n_delays()), reals, c.n_delays() * sizeof(Real));
    }
    for (auto& p : pops_) {
      if (!p.learned.n) continue;
      const int64_t n = n_learned(p);
      add_doubles<<<n_blocks_of(n), 128>>>(job_, p.gathered, n, n_replicas_, doubles);
      finish("adding derivatives");
      size_t from = 0;
      for (int q = 0; q < p.learned.n; q++) {
        Room::fetch(exchange_.block<double>(to, p.learned.here[q].n), doubles + from, p.learned.here[q].n * 8);
        from += p.learned.here[q].n;
      }
    }
  }

  static int n_blocks_of(int64_t n) { return int(std::min((n + 127) / 128, int64_t(1024))); }
};

}  // namespace bsnn
