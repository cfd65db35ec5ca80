/*
 * Four pixels times all filters, requantised: matmul_s8.h's product in the layouts that the DSP extension wants.
 * matmul_common.c says how the expanded pixels lie, firmware/packing.py how the weights do.
 *
 *   output of filter f at pixel p = requantise(bias[f] + sum over k of pixel[p][k] * weights[f][k])
 *
 * Tile: four pixels and two filters, so eight sums. With the DSP extension half a step (two inputs of each pixel) is
 *
 *   one word of weights loaded, expanded by two SXTB16; twice two pixels' words loaded and four SMLAD:
 *   14 instructions, 17 cycles for 16 MACs (with LDRD for the first two words 13 and 18: loads next to each other take
 *   one cycle less).
 *
 * Eight half-steps make a round of the loop, entered where the rest of their number begins; a round's end costs three
 * instructions. All registers but the stack pointer are in use: a compiler would spill, so this is assembly as a whole.
 * Cost: 0.9 instructions for a MAC; for a group of two filters (eight outputs) about 60 in addition, of them five for
 * each output (rectified; saturating: six); for each tile about 40.
 */
#include "matmul_common.h"

#if defined(__ARM_FEATURE_DSP)

/*
 * r0-r3: sums of the first filter at pixels 0..3; r4-r7: of the second. r12: expanded pixels; lr: stream of filters.
 * r8, r9: two pixels' inputs; r10: weights, then the second filter's; r11: the first filter's.
 */
#define HALF_STEP                \
    "ldr.w r10, [lr], #4\n"      \
    "ldr.w r8, [r12], #4\n"      \
    "ldr.w r9, [r12], #4\n"      \
    "sxtb16 r11, r10\n"          \
    "sxtb16 r10, r10, ror #8\n"  \
    "smlad r0, r8, r11, r0\n"    \
    "smlad r4, r8, r10, r4\n"    \
    "smlad r1, r9, r11, r1\n"    \
    "smlad r5, r9, r10, r5\n"    \
    "ldrd r8, r9, [r12], #8\n"   \
    "smlad r2, r8, r11, r2\n"    \
    "smlad r6, r8, r10, r6\n"    \
    "smlad r3, r9, r11, r3\n"    \
    "smlad r7, r9, r10, r7\n"
#define HALF_STEP_BYTES "56"

__asm__(MATMUL_START("matmul_s8", "44")
        /* Of the 2 * steps - 1 half-steps in the loop, the first round takes what eight leave. */
        "lsl r4, r4, #1\n"
        "sub r4, r4, #1\n"
        "and r4, r4, #7\n"
        "rsb r4, r4, #8\n"
        "mov r6, #" HALF_STEP_BYTES "\n"
        "adr.w r7, .Lmatmul_s8_round\n"
        "mla r4, r4, r6, r7\n"
        "orr r4, r4, #1\n" /* Thumb code */
        "str r4, [sp, #" ENTRY "]\n"
        "cmp r5, r3\n"
        "beq .Lmatmul_s8_alone\n"

        ".Lmatmul_s8_pair:\n"
        "ldr.w r12, [sp, #" EXPANDED "]\n"
        "ldm lr!, {r3, r7, r10}\n" /* two biases and the first weights */
        "ldrd r8, r9, [r12], #8\n"
        "sxtb16 r11, r10\n"
        "sxtb16 r10, r10, ror #8\n"
        "smlad r0, r8, r11, r3\n"
        "smlad r4, r8, r10, r7\n"
        "smlad r1, r9, r11, r3\n"
        "smlad r5, r9, r10, r7\n"
        "ldrd r8, r9, [r12], #8\n"
        "smlad r2, r8, r11, r3\n"
        "smlad r6, r8, r10, r7\n"
        "smlad r3, r9, r11, r3\n"
        "smlad r7, r9, r10, r7\n"
        "ldr.w pc, [sp, #" ENTRY "]\n"

        ".balign 4\n"
        ".Lmatmul_s8_round:\n"
        ".rept 8\n"
        HALF_STEP
        ".endr\n"
        "ldr.w r8, [sp, #" EXPANDED_END "]\n"
        "cmp r12, r8\n"
        "bne .Lmatmul_s8_round\n"
        "ldr.w pc, [sp, #" REQUANTIZE "]\n"
        MATMUL_FINISH("matmul_s8", "44"));

#else

/* The sum of one filter at one pixel; words of weights lie `stride` apart, its bytes at `lane` and two further. */
static int32_t sum_pair_filter(const uint32_t *pixel, const int32_t *weights, int32_t lane, int32_t bias,
                               int32_t half_steps)
{
    uint32_t sum = (uint32_t)bias;

    for (int32_t i = 0; i < half_steps; i++) {
        sum += (uint32_t)(half_of(*pixel, 0) * byte_of(weights[i], lane));
        sum += (uint32_t)(half_of(*pixel, 1) * byte_of(weights[i], lane + 2));
        pixel += MATMUL_PIXELS;
    }
    return (int32_t)sum;
}

void matmul_s8(const matmul_s8_params *params, const uint32_t *expanded, const int32_t *filters, int8_t *output)
{
    const int32_t half_steps = 2 * params->steps;

    for (int32_t f = 0; f < params->filters; f++) {
        const int32_t alone = f == params->filters - 1 && params->filters % 2 == 1;
        const int32_t lane = f % 2;
        const int32_t *const weights = filters + (alone ? 1 : 2);
        const int32_t *const after = weights + (alone ? params->steps : half_steps);
        int32_t sums[MATMUL_PIXELS];

        for (int32_t p = 0; p < MATMUL_PIXELS; p++) {
            sums[p] = alone ? sum_lone_filter(expanded + p, weights, filters[0], half_steps)
                            : sum_pair_filter(expanded + p, weights, lane, filters[lane], half_steps);
        }
        put_four(params, sums, after + 3 * lane, output++);
        if (lane == 1) {
            filters = after + 6;
        }
    }
}

#endif
