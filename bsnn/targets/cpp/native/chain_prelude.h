// Included before every generated file of a chain.
#pragma once
#include "prelude.h"
#include "resident.h"
