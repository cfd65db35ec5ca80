/*
 * Softmax over the channels of every position, in integers; output scale 1/256, zero point -128.
 *
 * The exponential and the division are those of TensorFlow Lite's reference kernel (gemmlowp's fixed point):
 * e^x for x <= 0 by a Taylor series around -1/8 within a quarter and products with e^-(1/4), e^-(1/2), ...
 * e^-16; the reciprocal of the sum by three Newton-Raphson steps. "Qn" below means n integer bits and 31 - n
 * fractional ones.
 *
 * Loops: position; then channel, once for the greatest value, once for the sum, once for the results. Cost:
 * two exponentials (about 130 instructions each) per value that counts. Each value is written after its last
 * use, so the output may lie exactly over the input. At most 511 channels: above that the reference kernel's
 * sum leaves the range it can invert.
 */
#include "fixed_point.h"
#include "kernels.h"

#define ONE_EIGHTH_Q0 ((int32_t)1 << 28)
#define ONE_QUARTER_Q5 ((int32_t)1 << 24)
#define ONE_Q2 ((int32_t)1 << 29)
#define ONE_OVER_3_Q0 715827883
#define EXP_MINUS_1_OVER_8_Q0 1895147668
#define NUMBER_48_OVER_17_Q2 1515870810
#define NUMBER_MINUS_32_OVER_17_Q2 (-1010580540)
#define SUM_INTEGER_BITS 12

/* x * 2^exponent, saturated to int32. */
static int32_t saturating_shift_left(int32_t x, int32_t exponent)
{
    const int64_t wide = (int64_t)x * ((int64_t)1 << exponent);

    return wide > INT32_MAX ? INT32_MAX : wide < INT32_MIN ? INT32_MIN : (int32_t)wide;
}

/* e^a in Q0 for a in [-1/4, 0), given in Q0. */
static int32_t exp_of_quarter(int32_t a)
{
    const int32_t x = a + ONE_EIGHTH_Q0;
    const int32_t x2 = rounding_high_mul(x, x);
    const int32_t x3 = rounding_high_mul(x2, x);
    const int32_t x4_over_4 = rounding_shift_right(rounding_high_mul(x2, x2), 2);
    const int32_t higher = rounding_shift_right(rounding_high_mul(x4_over_4 + x3, ONE_OVER_3_Q0) + x2, 1);

    return EXP_MINUS_1_OVER_8_Q0 + rounding_high_mul(EXP_MINUS_1_OVER_8_Q0, x + higher);
}

/* e^a in Q0 for a in [-32, 0], given in Q5. */
static int32_t exp_of_negative(int32_t a)
{
    static const int32_t factors[] = {
        1672461947, /* e^-(1/4) */
        1302514674, /* e^-(1/2) */
        790015084,  /* e^-1 */
        290630308,  /* e^-2 */
        39332535,   /* e^-4 */
        720401,     /* e^-8 */
        242,        /* e^-16 */
    };
    const int32_t quarter = (a & (ONE_QUARTER_Q5 - 1)) - ONE_QUARTER_Q5;
    const int32_t quarters = (quarter - a) / ONE_QUARTER_Q5;
    int32_t result = exp_of_quarter(quarter * 32);

    if (a == 0) {
        return INT32_MAX;
    }
    for (int32_t i = 0; i < 7; i++) {
        if ((quarters & ((int32_t)1 << i)) != 0) {
            result = rounding_high_mul(result, factors[i]);
        }
    }
    return result;
}

/* 1 / (1 + a) in Q0 for a in [0, 1), given in Q0. */
static int32_t one_over_one_plus(int32_t a)
{
    const int32_t half_denominator = (int32_t)(((int64_t)a + INT32_MAX + 1) / 2);
    int32_t x = NUMBER_48_OVER_17_Q2 + rounding_high_mul(half_denominator, NUMBER_MINUS_32_OVER_17_Q2);

    for (int32_t i = 0; i < 3; i++) {
        const int32_t rest = ONE_Q2 - rounding_high_mul(half_denominator, x);

        x += saturating_shift_left(rounding_high_mul(x, rest), 2);
    }
    return saturating_shift_left(x, 1);
}

static int32_t leading_zeros(uint32_t x)
{
    int32_t count = 0;

    while (count < 32 && (x & 0x80000000u) == 0u) {
        x <<= 1;
        count++;
    }
    return count;
}

/* e to the power of a value's distance below the greatest, in Q0. */
static int32_t exp_of_difference(const softmax_s8_params *params, int32_t difference)
{
    return exp_of_negative(
        multiply_by_quantized_multiplier(difference, params->input_multiplier, params->input_left_shift));
}

void softmax_s8(const softmax_s8_params *params, const int8_t *input, int8_t *output)
{
    const int32_t channels = params->channels;

    for (int32_t i = 0; i < params->rows; i++, input += channels, output += channels) {
        int32_t greatest = INT8_MIN;
        int32_t sum = 0;

        for (int32_t c = 0; c < channels; c++) {
            if (input[c] > greatest) {
                greatest = input[c];
            }
        }
        for (int32_t c = 0; c < channels; c++) {
            const int32_t difference = input[c] - greatest;

            if (difference >= params->diff_min) {
                sum += rounding_shift_right(exp_of_difference(params, difference), SUM_INTEGER_BITS);
            }
        }

        const int32_t zeros = leading_zeros((uint32_t)sum);
        const int32_t fraction = (int32_t)(((uint32_t)sum << zeros) - 0x80000000u);
        const int32_t scale = one_over_one_plus(fraction);
        const int32_t exponent = SUM_INTEGER_BITS - zeros + 31 - 8;

        for (int32_t c = 0; c < channels; c++) {
            const int32_t difference = input[c] - greatest;
            int32_t result = INT8_MIN;

            if (difference >= params->diff_min) {
                const int32_t power = exp_of_difference(params, difference);

                result += rounding_shift_right(rounding_high_mul(scale, power), exponent);
            }
            output[c] = (int8_t)clamp(result, INT8_MIN, INT8_MAX);
        }
    }
}
