// Included before every generated file and precompiled, because parsing these headers
// takes most of the compiler's time.
#pragma once
#include <climits>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iostream>

#include "brianlib/common_math.h"
#include "flags.h"
#include "objects.h"
