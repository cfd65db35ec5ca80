/*
 * Four pixels times all filters, requantised, weights of 4 bits: matmul_s8.h's product with half of the flash, in the
 * layouts that the DSP extension wants. matmul_common.c says how the expanded pixels lie.
 *
 *   output of filter f at pixel p = requantise(bias[f] + sum over k of pixel[p][k] * weights[f][k])
 *
 * A byte holds the weights of an input in the two filters of a pair: 16 * first + second + 8, from -112 + 1 to 112 + 15.
 * Nothing has to be unpacked but what one instruction does: SXTB16 takes two such bytes out of a word, an AND with
 * 0x000F000F their lower halves, second + 8. The sums of products with both are
 *
 *   lower = sum(x * second) + 8 * sum(x)      and      whole = 16 * sum(x * first) + lower
 *
 * so the first filter's is (whole - lower) / 16, without a rest, and the second's is lower once 8 * sum(x), which the
 * pixels have in common, is taken off. That is part of lower (and of whole) from the start. Of sum(x * first), 27 bits
 * and a sign are enough for 149,796 inputs; the emitter checks it.
 *
 * Tile: four pixels and two filters, so eight sums. A step (four inputs of each pixel) takes one word of weights, loaded
 * twice because no register is free to keep it: 29 instructions, 35 cycles for 32 MACs, one more than with weights of 8
 * bits. Four steps make a round of the loop, entered where the rest of their number begins.
 * Cost: 0.92 instructions for a MAC; for a group of two filters (eight outputs) about 75 in addition; for each tile 3 for
 * each input, and about 60.
 */
#include "matmul_common.h"

#if defined(__ARM_FEATURE_DSP)

/*
 * r0-r3: whole at pixels 0..3; r4-r7: lower. r12: expanded pixels; lr: stream of filters. r8, r9: two pixels' inputs;
 * r10: weights, then their lower halves; r11: whole bytes.
 */
#define INPUTS                             \
    "ldr.w r8, [r12], #4\n"                \
    "ldr.w r9, [r12], #4\n"
#define PRODUCTS                           \
    "sxtb16 r11, r10\n"                    \
    "and.w r10, r10, #0x000F000F\n"        \
    "smlad r0, r8, r11, r0\n"              \
    "smlad r4, r8, r10, r4\n"              \
    "smlad r1, r9, r11, r1\n"              \
    "smlad r5, r9, r10, r5\n"              \
    "ldrd r8, r9, [r12], #8\n"             \
    "smlad r2, r8, r11, r2\n"              \
    "smlad r6, r8, r10, r6\n"              \
    "smlad r3, r9, r11, r3\n"              \
    "smlad r7, r9, r10, r7\n"
#define STEP                               \
    "ldr.w r10, [lr]\n" INPUTS PRODUCTS    \
    "ldr.w r10, [lr], #4\n" INPUTS         \
    "lsr.w r10, r10, #8\n" PRODUCTS
#define STEP_BYTES "116"
#define HALF_STEP_BYTES "56"

__asm__(MATMUL_START("matmul_s4", "60")
        /* The first round takes what four leave of the steps, without the first half, which is outside of the loop. */
        "sub r4, r4, #1\n"
        "and r4, r4, #3\n"
        "rsb r4, r4, #3\n"
        "mov r6, #" STEP_BYTES "\n"
        "adr.w r7, .Lmatmul_s4_round\n"
        "add r7, r7, #" HALF_STEP_BYTES "\n"
        "mla r4, r4, r6, r7\n"
        "orr r4, r4, #1\n" /* Thumb code */
        "str r4, [sp, #" ENTRY "]\n"
        "cmp r5, r3\n"
        "beq .Lmatmul_s4_alone\n"

        /* -8 * sum(x) of each pixel. */
        "mvn r10, #0x00070007\n" /* halves of -8 */
        "mov r4, #0\n"
        "mov r6, #0\n"
        "mov r7, #0\n"
        "mov r8, #0\n"
        ".Lmatmul_s4_excess:\n"
        "ldm r1!, {r0, r2, r9, r11}\n"
        "smlad r4, r0, r10, r4\n"
        "smlad r6, r2, r10, r6\n"
        "smlad r7, r9, r10, r7\n"
        "smlad r8, r11, r10, r8\n"
        "ldm r1!, {r0, r2, r9, r11}\n"
        "smlad r4, r0, r10, r4\n"
        "smlad r6, r2, r10, r6\n"
        "smlad r7, r9, r10, r7\n"
        "smlad r8, r11, r10, r8\n"
        "cmp r1, r12\n"
        "bne .Lmatmul_s4_excess\n"
        "strd r4, r6, [sp, #" EXCESS "]\n"
        "strd r7, r8, [sp, #" EXCESS " + 8]\n"

        ".Lmatmul_s4_pair:\n"
        "ldrd r4, r5, [sp, #" EXCESS "]\n"
        "ldrd r6, r7, [sp, #" EXCESS " + 8]\n"
        "ldr.w r12, [sp, #" EXPANDED "]\n"
        "ldr.w r11, [lr], #4\n" /* the second filter's bias */
        "ldr.w r10, [lr]\n"
        "ldrd r8, r9, [r12], #8\n"
        "add r4, r4, r11\n"
        "add r5, r5, r11\n"
        "add r6, r6, r11\n"
        "add r7, r7, r11\n"
        "sxtb16 r11, r10\n"
        "and.w r10, r10, #0x000F000F\n"
        "smlad r0, r8, r11, r4\n"
        "smlad r4, r8, r10, r4\n"
        "smlad r1, r9, r11, r5\n"
        "smlad r5, r9, r10, r5\n"
        "ldrd r8, r9, [r12], #8\n"
        "smlad r2, r8, r11, r6\n"
        "smlad r6, r8, r10, r6\n"
        "smlad r3, r9, r11, r7\n"
        "smlad r7, r9, r10, r7\n"
        "ldr.w pc, [sp, #" ENTRY "]\n"

        ".balign 4\n"
        ".Lmatmul_s4_round:\n"
        ".rept 4\n"
        STEP
        ".endr\n"
        "ldr.w r8, [sp, #" EXPANDED_END "]\n"
        "cmp r12, r8\n"
        "bne .Lmatmul_s4_round\n"
        "ldr.w r8, [lr], #4\n" /* the first filter's bias */
        "sub r0, r0, r4\n"
        "sub r1, r1, r5\n"
        "sub r2, r2, r6\n"
        "sub r3, r3, r7\n"
        "add r0, r8, r0, asr #4\n"
        "add r1, r8, r1, asr #4\n"
        "add r2, r8, r2, asr #4\n"
        "add r3, r8, r3, asr #4\n"
        "ldr.w pc, [sp, #" REQUANTIZE "]\n"
        MATMUL_FINISH("matmul_s4", "60"));

#else

/* The sum of a pair's first or second filter (0 or 1) at one pixel. */
static int32_t sum_pair_filter(const uint32_t *pixel, const int32_t *weights, int32_t second, int32_t bias,
                               int32_t steps)
{
    uint32_t sum = (uint32_t)bias;

    for (int32_t i = 0; i < steps; i++) {
        for (int32_t k = 0; k < MATMUL_STEP; k++) {
            const int32_t both = byte_of(weights[i], k);
            const int32_t weight = second ? (both & 15) - 8 : both >> 4;

            sum += (uint32_t)(half_of(pixel[k % 2 * MATMUL_PIXELS], k / 2) * weight);
        }
        pixel += 2 * MATMUL_PIXELS;
    }
    return (int32_t)sum;
}

void matmul_s4(const matmul_s8_params *params, const uint32_t *expanded, const int32_t *filters, int8_t *output)
{
    const int32_t steps = params->steps;
    int32_t left = params->filters;
    int32_t sums[MATMUL_PIXELS];

    for (; left > 1; left -= 2) {
        const int32_t biases[2] = {filters[steps + 1], filters[0]};

        for (int32_t second = 0; second < 2; second++) {
            for (int32_t p = 0; p < MATMUL_PIXELS; p++) {
                sums[p] = sum_pair_filter(expanded + p, filters + 1, second, biases[second], steps);
            }
            put_four(params, sums, filters + steps + 2 + 3 * second, output++);
        }
        filters += steps + 8;
    }
    if (left > 0) {
        for (int32_t p = 0; p < MATMUL_PIXELS; p++) {
            sums[p] = sum_lone_filter(expanded + p, filters + 1, filters[0], 2 * steps);
        }
        put_four(params, sums, filters + 1 + steps, output);
    }
}

#endif
