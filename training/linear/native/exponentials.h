// Exponentials and logarithms in a form that compilers vectorise.
#pragma once
#include <cstdint>
#include <cstring>

namespace {

// How exponential() works in a precision: 1.5 * 2^digits, which pushes the fraction
// out; log(2) in two parts, the first with trailing zeros so that its product is exact;
// the least exponent, of a power as good as zero here; terms of the series.
template <class Real>
struct Exponent;
template <>
struct Exponent<double> {
    typedef uint64_t Bits;
    static constexpr double round = 6755399441055744, least = -700;
    static constexpr double high = 6.93147180369123816490e-1;
    static constexpr double low = 1.90821492927058770002e-10;
    static constexpr int digits = 52, n_terms = 12;
};
template <>
struct Exponent<float> {
    typedef uint32_t Bits;
    static constexpr float round = 12582912, least = -87;
    static constexpr float high = 0.693359375f, low = -2.12194440e-4f;
    static constexpr int digits = 23, n_terms = 7;
};

// exp(x), for x below the largest exponent, to the rounding of Real, in a form that
// compilers vectorise.
template <class Real>
inline Real exponential(Real x) {
    typedef Exponent<Real> E;
    const Real bounded = x < E::least ? E::least : x;
    const Real shifted = bounded * Real(1.4426950408889634) + E::round;
    const Real n = shifted - E::round;
    const Real r = bounded - n * E::high - n * E::low;
    Real sum = 1;  // 1 + r (1 + r/2 (1 + r/3 (...)))
    for (int i = E::n_terms; i > 0; --i) sum = 1 + sum * (r * Real(1.0 / i));
    typename E::Bits bits, exponent;
    std::memcpy(&exponent, &shifted, sizeof exponent);
    std::memcpy(&bits, &sum, sizeof bits);
    bits += exponent << E::digits;
    std::memcpy(&sum, &bits, sizeof sum);
    return sum + (bounded - bounded);  // undefined if x is
}

// log(x) to about 2e-16 for normal x > 0, in the same spirit: with x = 2^n m and
// 1/sqrt(2) <= m < sqrt(2), log(m) = 2 artanh((m - 1) / (m + 1)) as a series.
inline double logarithm(double x) {
    constexpr uint64_t one = 0x3ff0000000000000, root_half = 0x3fe6a09e667f3bcd;
    constexpr uint64_t two_to_52 = 0x4330000000000000;
    uint64_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    const uint64_t shifted = (bits - root_half + one) >> 52;  // n + 1023
    const uint64_t count = shifted | two_to_52;
    bits -= (shifted << 52) - one;
    double n, m;
    std::memcpy(&n, &count, sizeof n);
    std::memcpy(&m, &bits, sizeof m);
    n -= 4503599627370496.0 + 1023;
    const double t = (m - 1) / (m + 1), square = t * t;
    double sum = 0;
    for (int i = 21; i > 0; i -= 2) sum = sum * square + 2.0 / i;
    return n * 0.6931471805599453 + t * sum;
}

}  // namespace
