/*
 * Four pixels times all filters, weights of 4 bits, on cores that multiply words alone: matmul_s4 for the expanded pixels
 * of matmul_common_scalar.c, with the same stream of filters as matmul_s4.c.
 *
 * For every input k the expanded pixels are two words, (u0, u1) and (u2, u3), of unsigned bytes u = x + 128. A weight v =
 * w + 8 is one of 0..15, so a word times a weight makes the products of two pixels, and 17 of them add up within their
 * halves. Taken off is 8 * sum(u) for each pixel; 128 * sum(w) is part of the filter's bias (firmware/packing.py).
 *
 * A pair's weights of an input share a byte, 16 * first + second + 8; a filter left over has unsigned bytes, w + 128.
 * Tile: four pixels and two filters, 17 inputs at a time. Cost on the lx106: 2.7 instructions for a MAC, 50 for an output.
 */
#include "matmul_s8.h"

#define PIXELS MATMUL_PIXELS
#define STEP MATMUL_STEP
#define EXCESS 8u
#define EXCESS_ALONE 128u

/* Most inputs whose products with weights of 0..15 add up in a half without a carry: 17 * 255 * 15 < 2^16. */
#define INPUTS_WITHOUT_CARRY 17

/* Adds to four sums what the halves of two words hold. */
static void add_halves(uint32_t *sums, uint32_t first_two, uint32_t last_two)
{
    sums[0] += first_two & 0xFFFFu;
    sums[1] += first_two >> 16;
    sums[2] += last_two & 0xFFFFu;
    sums[3] += last_two >> 16;
}

/* Adds the products of `count` inputs to the pixels' sums in a pair's first filter, then in its second. */
static void multiply_pair(uint32_t *sums, const uint32_t *x, const uint8_t *weights, int32_t count)
{
    const uint8_t *const end = weights + count;

    while (weights != end) {
        const uint8_t *const stop = end - weights > INPUTS_WITHOUT_CARRY ? weights + INPUTS_WITHOUT_CARRY : end;
        uint32_t first01 = 0, first23 = 0, second01 = 0, second23 = 0;

        for (; weights != stop; x += 2) {
            const uint32_t both = *weights++;
            const uint32_t first = both >> 4 ^ EXCESS, second = both & 15u;

            first01 += x[0] * first;
            first23 += x[1] * first;
            second01 += x[0] * second;
            second23 += x[1] * second;
        }
        add_halves(sums, first01, first23);
        add_halves(sums + PIXELS, second01, second23);
    }
}

/* The same for a filter left over, one input at a time: there may be no more. */
static void multiply_alone(uint32_t *sums, const uint32_t *x, const uint8_t *weights, int32_t count)
{
    for (int32_t k = 0; k < count; k++) {
        add_halves(sums, x[2 * k] * weights[k], x[2 * k + 1] * weights[k]);
    }
}

/* A filter's outputs at four pixels, `filter` being its requant_s8. */
static void put(const uint32_t *sums, const int32_t *filter, const matmul_s8_params *params, int8_t *output)
{
    for (int32_t p = 0; p < PIXELS; p++) {
        output[p == 0 ? 0 : params->offsets[p - 1]] =
            requantize_as((int32_t)sums[p], (const requant_s8 *)filter, params->layer);
    }
}

void matmul_s4(const matmul_s8_params *params, const uint32_t *expanded, const int32_t *filters, int8_t *output)
{
    const int32_t steps = params->steps, inputs = STEP * steps;
    uint32_t excess[PIXELS] = {0, 0, 0, 0}, sums[2 * PIXELS];
    int32_t left = params->filters;

    for (int32_t i = 0; i < 2 * inputs; i += 2) {
        add_halves(excess, expanded[i], expanded[i + 1]);
    }
    for (; left > 1; left -= 2) {
        for (int32_t p = 0; p < PIXELS; p++) {
            sums[p] = (uint32_t)filters[steps + 1] - EXCESS * excess[p];
            sums[PIXELS + p] = (uint32_t)filters[0] - EXCESS * excess[p];
        }
        multiply_pair(sums, expanded, (const uint8_t *)(filters + 1), inputs);
        put(sums, filters + steps + 2, params, output);
        put(sums + PIXELS, filters + steps + 5, params, output + 1);
        filters += steps + 8;
        output += 2;
    }
    if (left > 0) {
        for (int32_t p = 0; p < PIXELS; p++) {
            sums[p] = (uint32_t)filters[0] - EXCESS_ALONE * excess[p];
        }
        multiply_alone(sums, expanded, (const uint8_t *)(filters + 1), inputs);
        put(sums, filters + 1 + steps, params, output);
    }
}
