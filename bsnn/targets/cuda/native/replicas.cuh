// What the generated kernels of a CUDA program know of the loop that launches them.
#pragma once

namespace bsnn {
cudaStream_t stream();        // where the kernels of a step go
int busy_replicas();          // those from the first on that have a sample
int* recorded(int layer);     // counts the spikes of a layer, numbered from 1; on the GPU
const int* trial();           // number of the trial; on the GPU
int steps_per_trial();
double seconds_per_trial();
}  // namespace bsnn
