/*
 * Dense layer over the whole input, flattened as it lies in memory, requantised per unit, on cores without the
 * Cortex-M's DSP extension.
 *
 *   output[u] = requantise(bias[u] + sum over i of input[i] * weights[u][i])
 *
 * Weights are unsigned bytes, 128 greater than they are, so that loading one takes one instruction; 128 * sum(input)
 * is taken off the sums at their start. Units go in groups of four that share each input value; of those left over
 * two make a group and one stands alone. The stream of filters is that of firmware/packing.py. Cost: 3.6 instructions
 * for a MAC in a group of four, 4.2 in one of two, 5.5 alone. Each weight is read once.
 */
#include "kernels.h"
#include "matmul_s8.h"

#define LANES 4
#define EXCESS 128u

static void sum_four(uint32_t *sums, const int8_t *input, const uint8_t *weights, int32_t count)
{
    uint32_t first = sums[0], second = sums[1], third = sums[2], fourth = sums[3];

    for (const int8_t *const end = input + count; input != end; weights += LANES) {
        const uint32_t x = (uint32_t)*input++;

        first += x * weights[0];
        second += x * weights[1];
        third += x * weights[2];
        fourth += x * weights[3];
    }
    sums[0] = first;
    sums[1] = second;
    sums[2] = third;
    sums[3] = fourth;
}

static void sum_two(uint32_t *sums, const int8_t *input, const uint8_t *weights, int32_t count)
{
    uint32_t first = sums[0], second = sums[1];

    for (const int8_t *const end = input + count; input != end; weights += 2) {
        const uint32_t x = (uint32_t)*input++;

        first += x * weights[0];
        second += x * weights[1];
    }
    sums[0] = first;
    sums[1] = second;
}

static void sum_one(uint32_t *sums, const int8_t *input, const uint8_t *weights, int32_t count)
{
    uint32_t sum = sums[0];

    for (const int8_t *const end = input + count; input != end;) {
        sum += (uint32_t)*input++ * *weights++;
    }
    sums[0] = sum;
}

void fully_connected_s8(const fully_connected_s8_params *params, const int8_t *input, const int32_t *filters,
                        int8_t *output)
{
    const int32_t count = params->input_size;
    const int32_t steps = (count + MATMUL_STEP - 1) / MATMUL_STEP;
    int32_t lanes = LANES;
    uint32_t excess = 0;

    for (int32_t i = 0; i < count; i++) {
        excess -= EXCESS * (uint32_t)input[i];
    }
    for (int32_t left = params->output_size; left > 0; left -= lanes) {
        uint32_t sums[LANES];

        while (lanes > left) {
            lanes /= 2;
        }
        for (int32_t i = 0; i < lanes; i++) {
            sums[i] = excess + (uint32_t)*filters++;
        }
        (lanes == LANES ? sum_four : lanes > 1 ? sum_two : sum_one)(sums, input, (const uint8_t *)filters, count);
        filters += lanes * steps;
        for (int32_t i = 0; i < lanes; i++) {
            *output++ = requantize_as((int32_t)sums[i], (const requant_s8 *)filters, &params->requantization);
            filters += 3;
        }
    }
}
