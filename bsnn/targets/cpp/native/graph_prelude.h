// Included before every generated file of a network.
#pragma once
#include "prelude.h"
#include "graph_parts.h"
