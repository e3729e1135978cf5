// What a program of a network of any neurons is made of: populations, connections, the
// code objects of their steps, and what of the forward and backward pass they visit.
#pragma once
#include <cstdint>
#include <vector>

#include "brianlib/clocks.h"
#include "graph_profile.h"
#include "graph_visits.h"

namespace bsnn {

const int MAX_PARTS = 256;  // populations, and connections

inline Visits fired[MAX_PARTS], released[MAX_PARTS], arriving[MAX_PARTS];
inline Crossings crossings[MAX_PARTS];
inline int64_t generation = 0;  // what does not change within one is kept

struct Array {
  Real** array;  // the program's own pointer
  int64_t n;
  bool shared;   // by all neurons, also where there is but one
};

// The spikes of a batch, and what the backward pass needs of them where that is all.
struct Fired {
  std::vector<int32_t> neuron, step;
  std::vector<int64_t> offset;
  std::vector<Real> crossings;
};

struct Population {
  int64_t n;
  const int32_t* fires;              // what the thresholder writes; null of inputs
  std::vector<Real**> state, before, end, lambda;
  char **free, **open;               // null where nothing is refractory
  double** last_spike;
  std::vector<int> recorded;         // states whose traces are wanted
  std::vector<Array> parameters, currents;
  std::vector<Array> learned;  // dL/dp, one a neuron; n = 1 of a shared one
  std::vector<Array> current_gradients;
  std::vector<Real**> normal;
  bool can_freeze;
  int32_t** index;
  std::vector<Real**> gains;         // what a crossing adds to: lambda, dL/dp
  bool at_once;                      // crossings read nothing that a step changes
  // Where delays of connections that lead here differ: what arrivals meet, and the code of
  // what of that is not yet there.
  std::vector<Real**> arrived;
  std::vector<char**> flags;
  std::vector<Code> slopes;
  // Under a surrogate, else null: dL/ds of the step at hand, and the numbers of its shape.
  Real **sent, **width, **height;
  // Backwards; null where there is nothing.
  Code reset, update, crossing, release, worth, spike;

  // Of the sample at hand.
  std::vector<int32_t> neuron;
  std::vector<int64_t> start;        // spikes of step n: start[n]..start[n + 1]
  std::vector<double> total;
  std::vector<Real> tape;            // states at each step
  // Of each spike, the states at the start of its step and those before its reset.
  std::vector<Real> at_spikes;
  std::vector<char> tape_free, tape_open;
  std::vector<int64_t> last;         // each neuron's last spike
  std::vector<Real> time, slope, by;  // of each crossing; gains x crossings
  int64_t first;                     // spike that they begin with
  std::vector<std::vector<Real>> there;  // what the crossings' code reads
  std::vector<int32_t> index_there;
  std::vector<Real> past;            // `arrived` and `flags` in each of `n_slots` steps
  std::vector<char> past_flags;
  int64_t n_slots;                   // of the request
  std::vector<Real> sent_tape;       // dL/ds in each step
  std::vector<int32_t> released;
  std::vector<int64_t> released_spike, released_start;
  // Of the batch.
  Fired out, kept;                   // `kept`: of the latest run that was to be
};

struct Added {
  int state;
  bool freezes;  // not while it is refractory
};

struct Connection {
  int source, target;
  int64_t n_pre, n_post;
  int64_t delay, n_weights, n_pairs;  // of the request; the longest of delays that differ
  bool dense, by_source, learns_delay;
  Code forward, backward;
  std::vector<Code> slopes;  // of the target, needed before `backward`
  Code worth;                // what spikes that arrive give to dL/ds, under a surrogate
  // Where delays differ, else empty: what a spike adds to, and how much is on its way.
  std::vector<Added> added;
  std::vector<Real> future;

  bool delayed() const { return !added.empty(); }
  int64_t n_delays() const {
    return !delayed() ? 1 : by_source ? n_pre : dense ? n_pre * n_post : n_pairs;
  }
};

struct Steps {
  std::vector<Code> groups, thresholds, resets;
  std::vector<Code> fixed;  // once for a batch: what no step changes
};

// The loop of graph.cpp; `repeats`: backwards, states between spikes are needed, too.
void serve(Clock& clock, std::vector<Population> pops, std::vector<Connection> connections,
           Steps steps, bool repeats);

}  // namespace bsnn
