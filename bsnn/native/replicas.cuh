// Where the spike monitors of a CUDA program count what they recorded.
#pragma once

namespace bsnn {
int* recorded(int layer);  // in the memory of the GPU; layers are counted from 1
}
