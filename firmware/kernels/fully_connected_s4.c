/*
 * Dense layer over the whole input, flattened as it lies in memory, weights of 4 bits, requantised per unit.
 *
 *   output[u] = requantise(bias[u] + sum over i of input[i] * weights[u][i])
 *
 * Units go in groups of four that share each input value; of those left over two make a group and one stands alone, with
 * weights of 8 bits. Of every two units a byte holds the weights of an input, 16 * first + second + 8, which matmul_s4.c
 * takes apart in the same way: by the sums of products with the whole byte and with its lower half.
 *
 * With the DSP extension four inputs of a group of four are one word of inputs loaded and expanded by two SXTB16, two
 * words of weights loaded by one LDM, each taken apart by five instructions, and eight SMLAD: with the loop 24
 * instructions, 29 cycles for 16 MACs. The sum of the inputs takes one instruction for each in addition. Without
 * the extension (lx106) about 9 for a MAC.
 */
#include "kernels.h"
#include "matmul_s8.h"

#define LANES 4
#define STEP MATMUL_STEP
#define EXCESS 8

/*
 * Adds the products of the inputs `begin`, which starts a step, to `end` - 1 to a group's sums: for every pair of units
 * those with whole bytes and those with lower halves. The latter mean nothing for a unit alone.
 */
static void add_products(int32_t *sums, const int8_t *input, const int32_t *weights, int32_t lanes, int32_t begin,
                         int32_t end)
{
    const int32_t words = (lanes + 1) / 2;

    for (int32_t pair = 0; pair < words; pair++) {
        const int8_t *bytes = (const int8_t *)(weights + begin / STEP * words + pair);
        uint32_t whole = (uint32_t)sums[2 * pair], lower = (uint32_t)sums[2 * pair + 1];

        for (int32_t i = begin; i < end; bytes += STEP * words) {
            for (int32_t k = 0; k < STEP && i < end; k++) {
                whole += (uint32_t)(input[i] * bytes[k]);
                lower += (uint32_t)(input[i] * (bytes[k] & 15));
                i++;
            }
        }
        sums[2 * pair] = (int32_t)whole;
        sums[2 * pair + 1] = (int32_t)lower;
    }
}

#if defined(__ARM_FEATURE_DSP)

void dense_s4(int32_t *sums, const int8_t *input, const int32_t *weights, int32_t steps);

/*
 * Adds to two pairs' sums the products of `steps` (at least one) whole steps.
 * r4-r7: sums; r8, r9: even and odd inputs; r10, r11: weights of the pairs; r12: two of them.
 */
#define PAIR(words, whole, lower)                    \
    "sxtb16 r12, " words "\n"                        \
    "smlad " whole ", r8, r12, " whole "\n"          \
    "and.w r12, " words ", #0x000F000F\n"            \
    "smlad " lower ", r8, r12, " lower "\n"          \
    "sxtb16 r12, " words ", ror #8\n"                \
    "smlad " whole ", r9, r12, " whole "\n"          \
    "lsr.w " words ", " words ", #8\n"               \
    "and.w " words ", " words ", #0x000F000F\n"      \
    "smlad " lower ", r9, " words ", " lower "\n"

__asm__(".pushsection .text.dense_s4, \"ax\", %progbits\n"
        ".syntax unified\n"
        ".thumb\n"
        ".balign 4\n"
        ".global dense_s4\n"
        ".thumb_func\n"
        ".type dense_s4, %function\n"
        "dense_s4:\n"
        "push {r0, r4-r11, lr}\n"
        "ldm r0, {r4-r7}\n"
        ".Ldense_s4_step:\n"
        "ldr.w r9, [r1], #4\n"
        "ldm r2!, {r10, r11}\n"
        "sxtb16 r8, r9\n"
        "sxtb16 r9, r9, ror #8\n"
        PAIR("r10", "r4", "r5")
        PAIR("r11", "r6", "r7")
        "subs r3, r3, #1\n"
        "bne .Ldense_s4_step\n"
        "pop {r0}\n"
        "stm r0, {r4-r7}\n"
        "pop {r4-r11, pc}\n"
        ".size dense_s4, . - dense_s4\n"
        ".popsection\n");

/* The same for one pair. */
static void dense_pair(int32_t *sums, const int8_t *input, const int32_t *weights, int32_t steps)
{
    int32_t whole = sums[0], lower = sums[1];

    for (int32_t i = 0; i < steps; i++) {
        const uint32_t x = load_word(input);
        const uint32_t w = (uint32_t)weights[i];

        whole = smlad(sxtb16(x), sxtb16(w), whole);
        lower = smlad(sxtb16(x), w & 0x000F000Fu, lower);
        whole = smlad(sxtb16_odd(x), sxtb16_odd(w), whole);
        lower = smlad(sxtb16_odd(x), w >> 8 & 0x000F000Fu, lower);
        input += STEP;
    }
    sums[0] = whole;
    sums[1] = lower;
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
        (lanes == LANES ? dense_s4 : lanes > 1 ? dense_pair : dense_one)(sums, input, weights, steps);
    }
    if (steps * STEP < inputs) {
        add_products(sums, input, weights, lanes, steps * STEP, inputs);
    }
}

/* sum + the four bytes of a word, unsigned. */
static inline uint32_t add_bytes(uint32_t word, uint32_t sum)
{
    uint32_t result;

    __asm__("usada8 %0, %1, %2, %3" : "=r"(result) : "r"(word), "r"(0), "r"(sum));
    return result;
}

/* Sum of the inputs: of four at once as unsigned bytes that are 128 greater. */
static int32_t sum_inputs(const int8_t *input, int32_t count)
{
    const int32_t pairs = count / (2 * STEP);
    uint32_t bytes = 0;
    int32_t sum = -128 * 2 * STEP * pairs;

    for (const int8_t *const end = input + 2 * STEP * pairs; input != end; input += 2 * STEP) {
        bytes = add_bytes(load_word(input) ^ 0x80808080u, bytes);
        bytes = add_bytes(load_word(input + STEP) ^ 0x80808080u, bytes);
    }
    for (int32_t i = 0; i < count - 2 * STEP * pairs; i++) {
        sum += input[i];
    }
    return sum + (int32_t)bytes;
}

#else

static void sum_products(int32_t *sums, const int8_t *input, const int32_t *weights, int32_t lanes, int32_t inputs)
{
    add_products(sums, input, weights, lanes, 0, inputs);
}

static int32_t sum_inputs(const int8_t *input, int32_t count)
{
    int32_t sum = 0;

    for (int32_t i = 0; i < count; i++) {
        sum += input[i];
    }
    return sum;
}

#endif

void fully_connected_s4(const fully_connected_s4_params *params, const int8_t *input, const int32_t *filters,
                        int8_t *output)
{
    const int32_t inputs = params->input_size;
    const int32_t steps = (inputs + STEP - 1) / STEP;
    const uint32_t excess = EXCESS * (uint32_t)sum_inputs(input, inputs);
    int32_t lanes = LANES;

    for (int32_t left = params->output_size; left > 0; left -= lanes) {
        int32_t sums[LANES] = {0, 0, 0, 0};

        while (lanes > left) {
            lanes /= 2;
        }
        const int32_t words = (lanes + 1) / 2;
        const int32_t *const behind = filters + words + words * steps;

        sum_products(sums, input, filters + words, lanes, inputs);
        if (lanes > 1) {
            for (int32_t pair = 0; pair < words; pair++) {
                const uint32_t whole = (uint32_t)sums[2 * pair], lower = (uint32_t)sums[2 * pair + 1];

                sums[2 * pair] = (int32_t)((uint32_t)((int32_t)(whole - lower) >> 4) + (uint32_t)behind[pair]);
                sums[2 * pair + 1] = (int32_t)(lower - excess + (uint32_t)filters[pair]);
            }
            filters = behind + words;
        } else {
            sums[0] = (int32_t)((uint32_t)sums[0] + (uint32_t)filters[0]);
            filters = behind;
        }
        for (int32_t i = 0; i < lanes; i++) {
            const requant_s8 unit = {filters[0], filters[1], filters[2]};

            *output++ = requantize_as(sums[i], &unit, &params->requantization);
            filters += 3;
        }
    }
}
