/*
 * Four pixels times all filters, requantised, on cores that multiply words alone: matmul_s8.h's functions with
 * layouts of their own, for Xtensa and other cores without the Cortex-M's DSP extension.
 *
 * Inputs and weights are unsigned bytes, 128 greater than they are: u = x + 128, v = w + 128. So loading weights
 * needs no sign extension, and a word holds several without touching each other. Of two pixels p, q and two filters
 * f, g three sums of products are kept instead of four, modulo 2^32:
 *
 *   lower = sum of u_p * (v_f + 2^8 * v_g)       = F_p + 2^8 * G_p        the word of weights as it is loaded
 *   upper = sum of u_q * (v_f + 2^8 * v_g)       = F_q + 2^8 * G_q
 *   both  = sum of (u_p + 2^16 * u_q) * v_g      = G_p + 2^16 * G_q       the word of pixels as it is loaded
 *
 * F and G are below 2^24 for 256 inputs, so lower / 2^8 = G_p + F_p / 2^8, rounded down, of which the last term is
 * below 2^16. The same for upper, added 2^16 times, less both, leaves these two terms in the halves of a word; G and
 * F follow. More inputs are multiplied in several chunks.
 *
 * The excess of the weights, 128 * sum(u), is taken off for each pixel; that of the inputs, 128 * sum(w), is part of
 * the filter's bias (firmware/packing.py).
 *
 * For every input k the expanded pixels are two words, (u0, u1) and (u2, u3). The filters are a stream of groups of
 * two, and one that may be left over: biases, weights (of every input those of the group side by side), a requant_s8
 * each.
 *
 * Tile: four pixels and two filters. Two inputs are a load and three shifts for the weights, four loads and four
 * shifts for the pixels, 12 multiplications and 12 additions: 36 instructions for 16 MACs, with 14 registers. (A sum
 * for each output takes 44, and more registers than an Xtensa has.) Cost on an LX106: 2.36 instructions for a MAC
 * with the loop; 16 to take two pixels' sums apart, and 40 to make an output of one. A filter alone: 2.8 for a MAC.
 */
#include "halves.h"
#include "matmul_s8.h"

#define PIXELS MATMUL_PIXELS
#define STEP MATMUL_STEP
#define STEP_WORDS (2 * STEP)
#define EXCESS 128u
#define EXCESS_OF_BOTH (EXCESS | EXCESS << 16)

/* Words of the most inputs whose products are told apart again, and whose bytes add up without a carry. */
#define CHUNK 256
#define CHUNK_WORDS (2 * CHUNK)

/*
 * The compiler must take a sum as it is now: added up in another order, several products would have to be kept at once,
 * which takes more registers than there are. A value it must fetch from memory leaves a register to the others.
 */
#if defined(__GNUC__)
#define SETTLE(sum) __asm__ volatile("" : "+r"(sum))
#define FETCH(value) __asm__ volatile("" : "+m"(value))
#define APART __attribute__((noinline)) /* a function whose registers are its own */
#else
#define APART
#define SETTLE(sum)
#define FETCH(value)
#endif

/* Adds products of a word of two pixels: their own ones with two filters' weights, both with the second one's. */
#define ADD_PRODUCTS(sums, word, weights, second)                   \
    do {                                                            \
        uint32_t pixels = (word);                                   \
                                                                    \
        sums##_lower += multiply_unsigned_halves(pixels, weights);                 \
        SETTLE(sums##_lower);                                       \
        sums##_both += pixels * (second);                           \
        SETTLE(sums##_both);                                        \
        pixels >>= 16;                                              \
        sums##_upper += multiply_unsigned_halves(pixels, weights);                 \
        SETTLE(sums##_upper);                                       \
    } while (0)

/* Inputs 2 * `i` and 2 * `i` + 1 from the present one on, in two filters. */
#define TWO_INPUTS(i)                                      \
    do {                                                   \
        uint32_t weights = v[i], second = weights >> 8 & 255u; \
                                                           \
        SETTLE(weights);                                   \
        ADD_PRODUCTS(first, x[4 * (i)], weights, second);  \
        ADD_PRODUCTS(last, x[4 * (i) + 1], weights, second); \
        second = weights >> 24;                            \
        weights >>= 16;                                    \
        SETTLE(weights);                                   \
        ADD_PRODUCTS(first, x[4 * (i) + 2], weights, second); \
        ADD_PRODUCTS(last, x[4 * (i) + 3], weights, second); \
    } while (0)

/* The sums of two pixels in two filters, out of the three sums of their products. */
static inline void take_apart(uint32_t *sums, uint32_t lower, uint32_t upper, uint32_t both)
{
    /* 2^8 * (second filter) + (first filter), less its lowest byte. */
    const uint32_t excess = (lower >> 8) + (upper >> 8 << 16) - both;
    const uint32_t second_lower = (lower >> 8) - (excess & 0xFFFFu), second_upper = (upper >> 8) - (excess >> 16);

    sums[0] = lower - (second_lower << 8);
    sums[1] = upper - (second_upper << 8);
    sums[PIXELS] = second_lower;
    sums[PIXELS + 1] = second_upper;
}

/* The products of 1 to CHUNK inputs, whole steps, summed for four pixels in a filter, then in another one. */
static APART void multiply_two(uint32_t *sums, const uint32_t *x, const uint32_t *end, const uint32_t *v)
{
    uint32_t first_lower = 0, first_upper = 0, first_both = 0, last_lower = 0, last_upper = 0, last_both = 0;

    /* Two steps a turn; where their number is odd, the first turn makes the second one alone. */
    if ((end - x) % (2 * STEP_WORDS) != 0) {
        x = (const uint32_t *)((uintptr_t)x - STEP_WORDS * sizeof *x); /* there may be no such place */
        v -= 2;
        goto second_step;
    }
    do {
        TWO_INPUTS(0);
        TWO_INPUTS(1);
    second_step:
        TWO_INPUTS(2);
        TWO_INPUTS(3);
        x += 2 * STEP_WORDS;
        v += 4;
        FETCH(end);
    } while (x != end);
    take_apart(sums, first_lower, first_upper, first_both);
    take_apart(sums + 2, last_lower, last_upper, last_both);
}

/* The same for a single filter. */
static void multiply_one(uint32_t *sums, const uint32_t *x, const uint32_t *end, const uint8_t *v)
{
    uint32_t first = 0, first_upper = 0, last = 0, last_upper = 0;

    for (; x != end; x += 2) {
        const uint32_t weight = *v++, first_products = x[0] * weight, last_products = x[1] * weight;

        first += first_products;
        first_upper += first_products >> 16;
        last += last_products;
        last_upper += last_products >> 16;
    }
    sums[0] = first - (first_upper << 16);
    sums[1] = first_upper;
    sums[2] = last - (last_upper << 16);
    sums[3] = last_upper;
}

/* What is to be added to any filter's sums at the four pixels for the excess of the weights. */
static void sum_excess(uint32_t *excess, const uint32_t *x, const uint32_t *end)
{
    excess[0] = excess[1] = excess[2] = excess[3] = 0;
    while (x != end) {
        const uint32_t *const stop = end - x > CHUNK_WORDS ? x + CHUNK_WORDS : end;
        uint32_t first = 0, last = 0;

        for (; x != stop; x += STEP_WORDS) {
            first += x[0] + x[2] + x[4] + x[6];
            last += x[1] + x[3] + x[5] + x[7];
        }
        excess[0] -= EXCESS * (first & 0xFFFFu);
        excess[1] -= EXCESS * (first >> 16);
        excess[2] -= EXCESS * (last & 0xFFFFu);
        excess[3] -= EXCESS * (last >> 16);
    }
}

/* A filter's outputs at four pixels, in a layer that has to be requantised the long way. */
static APART void put_general(const int32_t *sums, const requant_s8 *filter, const matmul_s8_params *params,
                              int8_t *output)
{
    output[0] = requantize_general(sums[0], filter, params->layer);
    for (int32_t i = 1; i < PIXELS; i++) {
        output[params->offsets[i - 1]] = requantize_general(sums[i], filter, params->layer);
    }
}

/* A filter's outputs at four pixels, from the sums of its products. */
static APART void put(const uint32_t *products, const uint32_t *excess, uint32_t bias, const requant_s8 *filter,
                      const matmul_s8_params *params, int8_t *output)
{
    const requant_s8 how = *filter; /* outputs, bytes, could lie anywhere for all that the compiler knows */
    const int32_t *const offsets = params->offsets;
    int8_t *const second = output + offsets[0], *const third = output + offsets[1];
    int8_t *const fourth = output + offsets[2];
    const int32_t sums[PIXELS] = {
        (int32_t)(products[0] + excess[0] + bias), (int32_t)(products[1] + excess[1] + bias),
        (int32_t)(products[2] + excess[2] + bias), (int32_t)(products[3] + excess[3] + bias)};

    if (params->layer->kind == REQUANTIZE_GENERAL) {
        put_general(sums, filter, params, output);
        return;
    }
    /* What rounds negative ties does no harm to rectified outputs: they are clamped either way. */
    *output = requantize_saturating(sums[0], &how);
    *second = requantize_saturating(sums[1], &how);
    *third = requantize_saturating(sums[2], &how);
    *fourth = requantize_saturating(sums[3], &how);
}

/* More inputs than CHUNK: their products in two filters, chunk by chunk. */
static APART void multiply_chunks(uint32_t *sums, const uint32_t *x, const uint32_t *end, const uint32_t *v)
{
    multiply_two(sums, x, x + CHUNK_WORDS, v);
    while (end - x > CHUNK_WORDS) {
        uint32_t more[2 * PIXELS];

        x += CHUNK_WORDS;
        v += CHUNK_WORDS / 4;
        multiply_two(more, x, end - x > CHUNK_WORDS ? x + CHUNK_WORDS : end, v);
        for (int32_t i = 0; i < 2 * PIXELS; i++) {
            sums[i] += more[i];
        }
    }
}

void matmul_s8(const matmul_s8_params *params, const uint32_t *expanded, const int32_t *filters, int8_t *output)
{
    const int32_t steps = params->steps;
    const uint32_t *const end = expanded + STEP_WORDS * steps;
    uint32_t excess[PIXELS], sums[2 * PIXELS];
    int32_t left = params->filters;

    sum_excess(excess, expanded, end);
    for (; left > 1; left -= 2) {
        const uint32_t *const weights = (const uint32_t *)filters + 2;
        const requant_s8 *const requant = (const requant_s8 *)(filters + 2 + 2 * steps);

        if (steps > CHUNK / STEP) {
            multiply_chunks(sums, expanded, end, weights);
        } else {
            multiply_two(sums, expanded, end, weights);
        }
        put(sums, excess, (uint32_t)filters[0], requant, params, output);
        put(sums + PIXELS, excess, (uint32_t)filters[1], requant + 1, params, output + 1);
        filters = (const int32_t *)(requant + 2);
        output += 2;
    }
    if (left > 0) {
        multiply_one(sums, expanded, end, (const uint8_t *)(filters + 1));
        put(sums, excess, (uint32_t)filters[0], (const requant_s8 *)(filters + 1 + steps), params, output);
    }
}
