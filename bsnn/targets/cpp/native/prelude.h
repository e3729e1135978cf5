// Headers that generated files include or need. They are precompiled, once for all
// programs, because parsing them takes most of the compiler's time.
#pragma once
#include <algorithm>
#include <climits>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iostream>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "brianlib/clocks.h"
#include "brianlib/common_math.h"
#include "brianlib/dynamic_array.h"
#include "flags.h"
