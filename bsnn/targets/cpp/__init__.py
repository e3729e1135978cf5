"""Programs in C++, by the C++ target of Brian2."""
