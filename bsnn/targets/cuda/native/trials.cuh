// Steps the network through a trial. Launching some ten kernels a step one by one costs
// more than they take, so the launches of a trial are captured once in a CUDA graph and
// replayed. BSNN_CUDA_GRAPH=0 in the environment launches them one by one instead.
//
// A graph keeps the arguments of its launches by value. Time is counted from the start
// of the trial, so one graph serves all trials; `Held` is what else may change.
#pragma once
#include <cstdio>
#include <cstdlib>
#include <string>
#include <tuple>
#include <unistd.h>
#include <utility>
#include <vector>

#include "brianlib/clocks.h"
#include "brianlib/cuda_utils.h"
#include "network.h"
#include "replicas.cuh"

namespace bsnn {

static int* counters = nullptr;
static cudaStream_t launching = 0;
static int busy = 0;
static int trial_steps = 0;
static double trial_seconds = 0;

cudaStream_t stream() { return launching; }
int busy_replicas() { return busy; }
int* recorded(int layer) { return counters + layer; }
const int* trial() { return counters; }
int steps_per_trial() { return trial_steps; }
double seconds_per_trial() { return trial_seconds; }

inline bool replays_graphs() {
  const char* chosen = std::getenv("BSNN_CUDA_GRAPH");
  const std::string value = chosen ? chosen : "1";
  if (value == "0" || value == "1") return value == "1";
  std::fprintf(stderr, "BSNN_CUDA_GRAPH must be 0 or 1, got %s\n", chosen);
  _exit(3);
}

inline void check_graph(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  std::fprintf(stderr, "%s failed: %s; BSNN_CUDA_GRAPH=0 does without graphs\n", what,
               cudaGetErrorString(status));
  _exit(3);
}

class Trials {
 public:
  // Arrays that kernels are given with their sizes.
  using Held = std::vector<std::pair<const void*, size_t>>;

  Trials(Network& network, Clock& clock)
      : network_(network), clock_(clock), replays_(replays_graphs()) {
    // Not a stream that waits for the default one, which cannot be captured.
    if (replays_)
      check_graph(cudaStreamCreateWithFlags(&capturing_, cudaStreamNonBlocking),
                  "creating a stream");
  }

  // Called before the first trial of a batch; the counters and states are undefined then.
  void prepare(double dt, int64_t n_steps, int64_t n_busy, const Held& arrays) {
    busy = n_busy;
    clock_.dt[0] = dt;
    trial_steps = n_steps;
    trial_seconds = n_steps * dt;
    const auto held = std::make_tuple(dt, n_steps, n_busy, arrays);
    if (!replays_ || (graph_ && held == held_)) return;
    // What runs for the first time is loaded, which must not happen in a capture.
    step_through(1);
    CUDA_SAFE_CALL(cudaDeviceSynchronize());
    capture(n_steps);
    held_ = held;
  }

  // Starts trial `number`; what follows on the default stream waits for its end.
  void run(int number) {
    CUDA_SAFE_CALL(
        cudaMemcpyAsync(counters, &number, sizeof number, cudaMemcpyHostToDevice));
    if (replays_)
      check_graph(cudaGraphLaunch(graph_, 0), "launching a graph");
    else
      step_through(trial_steps);
  }

 private:
  Network& network_;
  Clock& clock_;
  const bool replays_;
  cudaStream_t capturing_ = 0;
  cudaGraphExec_t graph_ = nullptr;
  std::tuple<double, int64_t, int64_t, Held> held_;

  void step_through(int64_t n_steps) {
    clock_.timestep[0] = 0;
    clock_.t[0] = 0;
    for (int64_t step = 0; step < n_steps; step++) {
      for (auto& object : network_.objects)
        if (object.second) object.second();
      clock_.tick();
    }
  }

  void capture(int64_t n_steps) {
    if (graph_) check_graph(cudaGraphExecDestroy(graph_), "destroying a graph");
    cudaGraph_t captured;
    check_graph(cudaStreamBeginCapture(capturing_, cudaStreamCaptureModeThreadLocal),
                "capturing");
    launching = capturing_;
    step_through(n_steps);
    launching = 0;
    check_graph(cudaStreamEndCapture(capturing_, &captured), "capturing the steps");
    check_graph(cudaGraphInstantiate(&graph_, captured, 0), "instantiating a graph");
    check_graph(cudaGraphDestroy(captured), "destroying a graph");
  }
};

}  // namespace bsnn
