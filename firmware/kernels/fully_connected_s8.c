/*
 * Dense layer over the whole input, flattened as it lies in memory, requantised per unit.
 *
 *   output[u] = requantise(bias[u] + sum over i of input[i] * weights[u][i])
 *
 * Units go in groups of four that share each input value; of those left over two make a group and one stands alone. The
 * stream of filters is that of firmware/packing.py. With the DSP extension four inputs of a group of four are one word
 * of inputs loaded and expanded by two SXTB16, four words of weights loaded by one LDM and expanded by eight, and eight
 * SMLAD: with the loop 22 instructions, 29 cycles for 16 MACs; in a group of two about 15 for 8, alone 10 for 4.
 * Each weight is read once, so flash sets the speed.
 */
#include "kernels.h"
#include "matmul_s8.h"

#define LANES 4
#define STEP MATMUL_STEP

/* Weight of unit `lane` and input k in the words of one step of a group. */
static int32_t weight_of(const int32_t *words, int32_t lanes, int32_t lane, int32_t k)
{
    const int32_t word = lanes > 1 ? k % 2 * (lanes / 2) + lane / 2 : 0;
    const int32_t byte = lanes > 1 ? lane % 2 + k / 2 * 2 : k;

    return (int8_t)(uint8_t)((uint32_t)words[word] >> (8 * byte));
}

/* Adds the products of the inputs `begin` to `end` - 1 to a group's sums. */
static void add_products(int32_t *sums, const int8_t *input, const int32_t *weights, int32_t lanes, int32_t begin,
                         int32_t end)
{
    for (int32_t i = begin; i < end; i++) {
        const int32_t *const words = weights + i / STEP * lanes;

        for (int32_t lane = 0; lane < lanes; lane++) {
            const int32_t product = input[i] * weight_of(words, lanes, lane, i % STEP);

            sums[lane] = (int32_t)((uint32_t)sums[lane] + (uint32_t)product);
        }
    }
}

#if defined(__ARM_FEATURE_DSP)

void dense_s8(int32_t *sums, const int8_t *input, const int32_t *weights, int32_t steps);

/*
 * Adds to four sums the products of `steps` (at least one) whole steps of a group.
 * r4-r7: sums; r8, r9: inputs; r10-r12, lr: weights of the units 0 and 1 (even inputs), 2 and 3, 0 and 1 (odd), 2 and 3.
 */
#define UNITS(x, words, first, second)               \
    "sxtb16 r0, " words "\n"                         \
    "sxtb16 " words ", " words ", ror #8\n"          \
    "smlad " first ", " x ", r0, " first "\n"        \
    "smlad " second ", " x ", " words ", " second "\n"

__asm__(".pushsection .text.dense_s8, \"ax\", %progbits\n"
        ".syntax unified\n"
        ".thumb\n"
        ".balign 4\n"
        ".global dense_s8\n"
        ".thumb_func\n"
        ".type dense_s8, %function\n"
        "dense_s8:\n"
        "push {r0, r4-r11, lr}\n"
        "ldm r0, {r4-r7}\n"
        ".Ldense_s8_step:\n"
        "ldr.w r9, [r1], #4\n"
        "ldm r2!, {r10, r11, r12, lr}\n"
        "sxtb16 r8, r9\n"
        "sxtb16 r9, r9, ror #8\n"
        UNITS("r8", "r10", "r4", "r5")
        UNITS("r8", "r11", "r6", "r7")
        UNITS("r9", "r12", "r4", "r5")
        UNITS("r9", "lr", "r6", "r7")
        "subs r3, r3, #1\n"
        "bne .Ldense_s8_step\n"
        "pop {r0}\n"
        "stm r0, {r4-r7}\n"
        "pop {r4-r11, pc}\n"
        ".size dense_s8, . - dense_s8\n"
        ".popsection\n");

/* The same for a group of two. */
static void dense_pair(int32_t *sums, const int8_t *input, const int32_t *weights, int32_t steps)
{
    int32_t first = sums[0], second = sums[1];

    for (int32_t i = 0; i < steps; i++) {
        const uint32_t x = load_word(input);
        const uint32_t even = (uint32_t)weights[0], odd = (uint32_t)weights[1];

        first = smlad(sxtb16(x), sxtb16(even), first);
        second = smlad(sxtb16(x), sxtb16_odd(even), second);
        first = smlad(sxtb16_odd(x), sxtb16(odd), first);
        second = smlad(sxtb16_odd(x), sxtb16_odd(odd), second);
        input += STEP;
        weights += 2;
    }
    sums[0] = first;
    sums[1] = second;
}

/* For a unit alone. */
static void dense_one(int32_t *sums, const int8_t *input, const int32_t *weights, int32_t steps)
{
    int32_t sum = sums[0];

    for (int32_t i = 0; i < steps; i++) {
        const uint32_t x = load_word(input);
        const uint32_t w = (uint32_t)weights[i];

        sum = smlad(sxtb16(x), sxtb16(w), sum);
        sum = smlad(sxtb16_odd(x), sxtb16_odd(w), sum);
        input += STEP;
    }
    sums[0] = sum;
}

static void sum_products(int32_t *sums, const int8_t *input, const int32_t *weights, int32_t lanes, int32_t inputs)
{
    const int32_t steps = inputs / STEP;

    if (steps > 0) {
        (lanes == LANES ? dense_s8 : lanes > 1 ? dense_pair : dense_one)(sums, input, weights, steps);
    }
    add_products(sums, input, weights, lanes, steps * STEP, inputs);
}

#else

static void sum_products(int32_t *sums, const int8_t *input, const int32_t *weights, int32_t lanes, int32_t inputs)
{
    add_products(sums, input, weights, lanes, 0, inputs);
}

#endif

void fully_connected_s8(const fully_connected_s8_params *params, const int8_t *input, const int32_t *filters,
                        int8_t *output)
{
    const int32_t steps = (params->input_size + STEP - 1) / STEP;
    int32_t lanes = LANES;

    for (int32_t left = params->output_size; left > 0; left -= lanes) {
        int32_t sums[LANES];

        while (lanes > left) {
            lanes /= 2;
        }
        for (int32_t i = 0; i < lanes; i++) {
            sums[i] = *filters++;
        }
        sum_products(sums, input, filters, lanes, params->input_size);
        filters += lanes * steps;
        for (int32_t i = 0; i < lanes; i++) {
            const requant_s8 unit = {filters[0], filters[1], filters[2]};

            *output++ = requantize_as(sums[i], &unit, &params->requantization);
            filters += 3;
        }
    }
}
