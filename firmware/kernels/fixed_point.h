/*
 * Requantisation: int32 sums back to int8, as TensorFlow Lite's reference kernels round.
 *
 * A real factor is multiplier / 2^31 * 2^shift with multiplier in [2^30, 2^31) or 0. Rounding happens twice:
 * once after the multiplication (ties up) and once after the right shift (ties away from zero). Leaving out
 * either changes results by one in the last place, so both stay.
 *
 * int32_t is two's complement (C99 says so). C99 leaves two more things to the compiler: that a negative number
 * shifted right keeps its sign, and that conversion to int32_t keeps the low 32 bits. The first declaration
 * below refuses to compile where either is not so.
 */
#ifndef FIXED_POINT_H
#define FIXED_POINT_H

#include "high_word.h"

typedef char compiler_must_shift_and_convert_as_assumed
    [(((int32_t)-3 >> 1) == -2 && ((int64_t)-3 >> 1) == -2 && (int32_t)0xFFFFFFFDu == -3) ? 1 : -1];

/*
 * a * b / 2^31, rounded to nearest, ties up. Not both may be INT32_MIN: that alone would overflow, and
 * neither a multiplier (never negative) nor a term of the exponential series can be.
 */
static inline int32_t rounding_high_mul(int32_t a, int32_t b)
{
    return rounded_high_product(a, b);
}

/* x / 2^exponent, rounded to nearest, ties away from zero; exponent in 0..31. */
static inline int32_t rounding_shift_right(int32_t x, int32_t exponent)
{
    const int32_t mask = (int32_t)(((uint32_t)1 << exponent) - 1u);
    const int32_t remainder = x & mask;
    const int32_t threshold = (mask >> 1) + (x < 0 ? 1 : 0);

    return (x >> exponent) + (remainder > threshold ? 1 : 0);
}

/* x * multiplier / 2^31 / 2^right; right in 0..31. */
static inline int32_t scale_down(int32_t x, int32_t multiplier, int32_t right)
{
    return rounding_shift_right(rounding_high_mul(x, multiplier), right);
}

/* x * multiplier / 2^31 * 2^shift; shift in -31..31, positive to the left, where the low 32 bits are kept. */
static inline int32_t multiply_by_quantized_multiplier(int32_t x, int32_t multiplier, int32_t shift)
{
    if (shift > 0) {
        return rounding_high_mul((int32_t)((uint32_t)x << shift), multiplier);
    }
    return scale_down(x, multiplier, -shift);
}

static inline int32_t clamp(int32_t x, int32_t low, int32_t high)
{
    return x < low ? low : x > high ? high : x;
}

/*
 * A number in units of the output's scale as an int8 activation: moved by the zero point, clamped to [low, high]. The
 * clamp comes before the sum, so that no number, however large, can overflow it.
 */
static inline int8_t activation(int32_t x, int32_t offset, int32_t low, int32_t high)
{
    return (int8_t)(clamp(x, low - offset, high - offset) + offset);
}

/* An accumulator as an int8 activation. */
static inline int8_t requantize(int32_t acc, int32_t multiplier, int32_t shift, int32_t offset, int32_t low,
                                int32_t high)
{
    return activation(multiply_by_quantized_multiplier(acc, multiplier, shift), offset, low, high);
}

#endif
