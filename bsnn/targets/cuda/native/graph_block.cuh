// What the threads of a block share: the arrays of its sample, and what code objects visit.
#pragma once
#include "graph_parts.cuh"

// Share turns among the threads of a block.
#define BSNN_EACH(k, n) for (int64_t k = threadIdx.x; k < int64_t(n); k += blockDim.x)

namespace bsnn {

struct Block : Arrays {
  Visits fired[N_POPULATIONS], released[N_POPULATIONS], arriving[N_CONNECTIONS + 1];
  Crossings crossings[N_POPULATIONS];
  Real of_warp[32];
  int fired_in_warp[32];

  // Array number k of the code objects, a pointer that may be put elsewhere.
  __device__ void*& at(int k) { return reinterpret_cast<void**>(static_cast<Arrays*>(this))[k]; }
  __device__ Real* real(int k) { return static_cast<Real*>(at(k)); }
  __device__ char* flag(int k) { return static_cast<char*>(at(k)); }

  // The sum of what all threads have, always in the same order; each of them asks, and
  // has waited for all others.
  __device__ Real sum(Real x) {
    for (int distance = 16; distance; distance /= 2) x += __shfl_down_sync(0xffffffff, x, distance);
    __syncthreads();
    if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = x;
    __syncthreads();
    Real all = 0;
    for (int warp = 0; warp < blockDim.x / 32; warp++) all += of_warp[warp];
    return all;
  }

  // Where each thread that wants a place gets it, behind `count` that are taken; every
  // thread asks.
  __device__ int place(bool wanted, int& count) {
    const int lane = threadIdx.x % 32, own = threadIdx.x / 32;
    const unsigned votes = __ballot_sync(0xffffffff, wanted);
    __syncthreads();
    if (lane == 0) fired_in_warp[own] = __popc(votes);
    __syncthreads();
    int at = count + __popc(votes & ((1u << lane) - 1));
    for (int warp = 0; warp < blockDim.x / 32; warp++) {
      at += warp < own ? fired_in_warp[warp] : 0;
      count += fired_in_warp[warp];
    }
    return at;
  }
};

}  // namespace bsnn
