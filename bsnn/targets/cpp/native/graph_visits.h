// What the code objects of a network's step visit, on any target.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

#ifndef BSNN_ANYWHERE
#define BSNN_ANYWHERE  // before a function that runs on a GPU, too
#endif

namespace bsnn {

#ifdef BSNN_SINGLE
typedef float Real;
#else
typedef double Real;
#endif

// What code objects visit in a step: some neurons, and dL/dT of the spikes they mean.
struct Visits {
  const int32_t* neuron;
  int64_t n;
  double* total;         // of spike k, or of spike `spike[k]`
  const int64_t* spike;
  const void* weights;   // of a projection: n_pre x n_post, or those of its pattern
  void* gradient;        // dL/d(weights)
  // Of a pattern: pairs row[i]..row[i + 1] lead from neuron i to `target`, each with
  // weight number `shared`.
  const int64_t* row;
  const int32_t *target, *shared;
  bool moves;            // dL/dT is wanted
  bool timed;            // that, or a derivative by a delay
  void* by_delay;        // dL/d(delay)
  // Where delays differ: steps of each, and some numbers for each neuron of the target in
  // each of `n_slots` steps, of which `slot` is that at hand.
  const int32_t* delay;
  int64_t slot, n_slots, n_left;  // n_left: steps to the end of the sample
  void* future;          // what is on its way
  void* past;            // what neurons were like, as backwards all later steps are past
  const char* past_flags;
  // Under a surrogate: dL/ds of all neurons of the source in each step, from the first;
  // the step at hand, and what is older by the delay that all share.
  void* sent;
  int64_t step, late;

  BSNN_ANYWHERE size_t slot_after(int64_t steps) const {
    const int64_t there = slot + steps;
    return there < n_slots ? there : there - n_slots;
  }
};

// Spikes whose crossings are located together, and where the answer goes.
struct Crossings {
  int64_t n;
  void* time;   // from the start of the step
  void* slope;  // of the margin
  void* by;     // the margin's derivatives: gains x n
};

// A number that is neither infinite nor NaN, whatever the compiler takes for granted.
BSNN_ANYWHERE inline bool sound(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return (bits & 0x7f800000u) != 0x7f800000u;
}
BSNN_ANYWHERE inline bool sound(double x) {
  uint64_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return (bits & 0x7ff0000000000000u) != 0x7ff0000000000000u;
}

}  // namespace bsnn
