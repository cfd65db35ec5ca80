/*
 * What matmul_s8.c and matmul_s4.c have in common: how their assembly starts, and how it goes on when the sums of a pair
 * of filters are there: two filters' outputs at four pixels, the next pair, and a filter that is left over, which has
 * weights of 8 bits in both; the same for the forms in C.
 *
 * In assembly `name` is the function's, labels are made of it. Sums are r0-r3 (first filter of the pair, pixels 0..3) and
 * r4-r7 (second), lr is the place in the stream of filters, which the requantisation of the two follows next.
 */
#ifndef MATMUL_COMMON_H
#define MATMUL_COMMON_H

#include "matmul_s8.h"

#if defined(__ARM_FEATURE_DSP)

/* What the assembly keeps on the stack of where the outputs go. */
typedef struct {
    int8_t *output;
    int32_t offsets[MATMUL_PIXELS - 1];
} places;

/* One filter's outputs at four pixels, for layers that have to be requantised the long way. */
void matmul_requantize_general(const int32_t *sums, const requant_s8 *filter, places *to, const requantization *layer);

/* Places in the frame. The first four words are `places`. */
#define EXPANDED "16" /* where the expanded pixels begin, and at + 4 where they end */
#define EXPANDED_END "20"
#define ENTRY "24"     /* into the loop, behind the first half-step */
#define REQUANTIZE "28" /* how sums become outputs */
#define PAIRS_END "32" /* where the outputs of the pairs of filters end */
#define ALONE "36"     /* whether a filter is left over */
#define LAYER "40"
#define EXCESS "44" /* four words of matmul_s4.c */

/*
 * Macros of the assembler. rectified and saturated: a sum y to an output value, by multiplier m, rounding r, shift s.
 * stored: four outputs; r8: where, one further afterwards; r9-r11: offsets.
 */
#define MACROS                             \
    ".macro rectified y, m, r, s\n"        \
    "smmlar \\y, \\y, \\m, \\y\n"           \
    "add \\y, \\y, \\r\n"                  \
    "asr \\y, \\y, \\s\n"                  \
    "ssat \\y, #8, \\y\n"                  \
    ".endm\n"                              \
    ".macro saturated y, m, r, s\n"        \
    "smmlar \\y, \\y, \\m, \\y\n"           \
    "add \\y, \\y, \\y, asr #31\n"         \
    "add \\y, \\y, \\r\n"                  \
    "asr \\y, \\y, \\s\n"                  \
    "ssat \\y, #8, \\y\n"                  \
    ".endm\n"                              \
    ".macro stored y0, y1, y2, y3\n"       \
    "strb \\y1, [r8, r9]\n"               \
    "strb \\y2, [r8, r10]\n"              \
    "strb \\y3, [r8, r11]\n"              \
    "strb \\y0, [r8], #1\n"               \
    ".endm\n"
#define NO_MACROS ".purgem rectified\n.purgem saturated\n.purgem stored\n"

#define REQUANTIZE_PAIR(how)                                              \
    "ldm lr!, {r8, r9, r10}\n"                                            \
    how " r0, r8, r9, r10\n" how " r1, r8, r9, r10\n"                     \
    how " r2, r8, r9, r10\n" how " r3, r8, r9, r10\n"                     \
    "ldm sp, {r8, r9, r10, r11}\n"                                        \
    "stored r0, r1, r2, r3\n"                                             \
    "ldm lr!, {r0, r1, r2}\n"                                             \
    how " r4, r0, r1, r2\n" how " r5, r0, r1, r2\n"                       \
    how " r6, r0, r1, r2\n" how " r7, r0, r1, r2\n"                       \
    "stored r4, r5, r6, r7\n"                                             \
    "str r8, [sp]\n"

/*
 * Fills the frame, except for ENTRY and EXCESS. Afterwards r1, r12: where expanded pixels begin and end; r3: output; r4:
 * steps; r5: PAIRS_END; r0, r2, r6-r11: free.
 */
#define MATMUL_START(name, frame)                                       \
    ".pushsection .text." name ", \"ax\", %progbits\n"                  \
    ".syntax unified\n"                                                 \
    ".thumb\n"                                                          \
    MACROS                                                              \
    ".balign 4\n"                                                       \
    ".global " name "\n"                                                \
    ".thumb_func\n"                                                     \
    ".type " name ", %function\n"                                       \
    name ":\n"                                                          \
    "push {r4-r11, lr}\n"                                               \
    "sub sp, #" frame "\n"                                              \
    "mov lr, r2\n"                                                      \
    "ldm r0, {r4-r9}\n" /* steps, filters, three offsets, layer */      \
    "strd r3, r6, [sp]\n"                                               \
    "strd r7, r8, [sp, #8]\n"                                           \
    "add r12, r1, r4, lsl #5\n" /* a step of four pixels is 32 bytes */ \
    "strd r1, r12, [sp, #" EXPANDED "]\n"                               \
    "ldr r6, [r9]\n"                                                    \
    "adr.w r7, .L" name "_general\n"                                    \
    "cmp r6, #1\n"                                                      \
    "it eq\n"                                                           \
    "adreq.w r7, .L" name "_saturating\n"                               \
    "it gt\n"                                                           \
    "adrgt.w r7, .L" name "_rectified\n"                                \
    "orr r7, r7, #1\n"                                                  \
    "str r7, [sp, #" REQUANTIZE "]\n"                                   \
    "and r6, r5, #1\n"                                                  \
    "sub r5, r5, r6\n"                                                  \
    "add r5, r5, r3\n"                                                  \
    "strd r5, r6, [sp, #" PAIRS_END "]\n"                               \
    "str r9, [sp, #" LAYER "]\n"

/* From complete sums to the end of the function. */
#define MATMUL_FINISH(name, frame)                                                                  \
    ".balign 4\n"                                                                                   \
    ".L" name "_saturating:\n"                                                                      \
    REQUANTIZE_PAIR("saturated")                                                                    \
    "b .L" name "_next\n"                                                                           \
    ".balign 4\n"                                                                                   \
    ".L" name "_general:\n"                                                                         \
    "sub sp, #32\n"                                                                                 \
    "stm sp, {r0-r7}\n"                                                                             \
    "mov r8, lr\n"                                                                                  \
    "mov r0, sp\n"                                                                                  \
    "mov r1, lr\n"                                                                                  \
    "add r2, sp, #32\n"                                                                             \
    "ldr r3, [sp, #32 + " LAYER "]\n"                                                               \
    "bl matmul_requantize_general\n"                                                                \
    "add r0, sp, #16\n"                                                                             \
    "add r1, r8, #12\n"                                                                             \
    "add r2, sp, #32\n"                                                                             \
    "ldr r3, [sp, #32 + " LAYER "]\n"                                                               \
    "bl matmul_requantize_general\n"                                                                \
    "add lr, r8, #24\n"                                                                             \
    "add sp, #32\n"                                                                                 \
    "ldr.w r8, [sp]\n"                                                                              \
    "b .L" name "_next\n"                                                                           \
    ".balign 4\n"                                                                                   \
    ".L" name "_rectified:\n"                                                                       \
    REQUANTIZE_PAIR("rectified")                                                                    \
    ".L" name "_next:\n"                                                                            \
    "ldr.w r12, [sp, #" PAIRS_END "]\n"                                                             \
    "cmp r8, r12\n"                                                                                 \
    "bne .L" name "_pair\n"                                                                         \
    ".L" name "_alone:\n"                                                                           \
    "ldr r0, [sp, #" ALONE "]\n"                                                                    \
    "cmp r0, #0\n"                                                                                  \
    "beq .L" name "_end\n"                                                                          \
    "ldrd r12, r7, [sp, #" EXPANDED "]\n"                                                           \
    "ldr r0, [lr], #4\n"                                                                            \
    "mov r1, r0\n"                                                                                  \
    "mov r2, r0\n"                                                                                  \
    "mov r3, r0\n"                                                                                  \
    /* A step at a time, 17 instructions for 16 MACs. */                                            \
    ".L" name "_alone_step:\n"                                                                      \
    "ldr.w r10, [lr], #4\n"                                                                         \
    "ldrd r8, r9, [r12], #8\n"                                                                      \
    "sxtb16 r11, r10\n"                                                                             \
    "sxtb16 r10, r10, ror #8\n"                                                                     \
    "smlad r0, r8, r11, r0\n"                                                                       \
    "smlad r1, r9, r11, r1\n"                                                                       \
    "ldrd r8, r9, [r12], #8\n"                                                                      \
    "smlad r2, r8, r11, r2\n"                                                                       \
    "smlad r3, r9, r11, r3\n"                                                                       \
    "ldrd r8, r9, [r12], #8\n"                                                                      \
    "smlad r0, r8, r10, r0\n"                                                                       \
    "smlad r1, r9, r10, r1\n"                                                                       \
    "ldrd r8, r9, [r12], #8\n"                                                                      \
    "smlad r2, r8, r10, r2\n"                                                                       \
    "smlad r3, r9, r10, r3\n"                                                                       \
    "cmp r12, r7\n"                                                                                 \
    "bne .L" name "_alone_step\n"                                                                   \
    "ldr r4, [sp, #" LAYER "]\n"                                                                    \
    "ldr r5, [r4]\n"                                                                                \
    "cmp r5, #0\n"                                                                                  \
    "beq .L" name "_alone_general\n"                                                                \
    /* What rounds negative ties does no harm to rectified outputs: they are clamped either way. */ \
    "ldm lr, {r8, r9, r10}\n"                                                                       \
    "saturated r0, r8, r9, r10\n"                                                                   \
    "saturated r1, r8, r9, r10\n"                                                                   \
    "saturated r2, r8, r9, r10\n"                                                                   \
    "saturated r3, r8, r9, r10\n"                                                                   \
    "ldm sp, {r8, r9, r10, r11}\n"                                                                  \
    "stored r0, r1, r2, r3\n"                                                                       \
    ".L" name "_end:\n"                                                                             \
    "add sp, #" frame "\n"                                                                          \
    "pop {r4-r11, pc}\n"                                                                            \
    ".L" name "_alone_general:\n"                                                                   \
    "mov r5, sp\n"                                                                                  \
    "sub sp, #16\n"                                                                                 \
    "stm sp, {r0-r3}\n"                                                                             \
    "mov r0, sp\n"                                                                                  \
    "mov r1, lr\n"                                                                                  \
    "mov r2, r5\n"                                                                                  \
    "mov r3, r4\n"                                                                                  \
    "bl matmul_requantize_general\n"                                                                \
    "add sp, #16 + " frame "\n"                                                                     \
    "pop {r4-r11, pc}\n"                                                                            \
    ".size " name ", . - " name "\n"                                                                \
    NO_MACROS                                                                                       \
    ".popsection\n"

#else

/* Halves and bytes of words, signed; 0 is the lowest. */
static inline int32_t half_of(uint32_t word, int32_t index)
{
    return (int16_t)(uint16_t)(word >> (16 * index));
}

static inline int32_t byte_of(int32_t word, int32_t index)
{
    return (int8_t)(uint8_t)((uint32_t)word >> (8 * index));
}

/* The sum of a filter left over at one pixel; its four weights of a step are in one word. */
static inline int32_t sum_lone_filter(const uint32_t *pixel, const int32_t *weights, int32_t bias, int32_t half_steps)
{
    uint32_t sum = (uint32_t)bias;

    for (int32_t i = 0; i < half_steps; i++) {
        sum += (uint32_t)(half_of(*pixel, 0) * byte_of(weights[i / 2], i % 2));
        sum += (uint32_t)(half_of(*pixel, 1) * byte_of(weights[i / 2], i % 2 + 2));
        pixel += MATMUL_PIXELS;
    }
    return (int32_t)sum;
}

/* The outputs of one filter at four pixels, whose requant_s8 lies at `words`. */
static inline void put_four(const matmul_s8_params *params, const int32_t *sums, const int32_t *words, int8_t *output)
{
    const requant_s8 filter = {words[0], words[1], words[2]};

    for (int32_t p = 0; p < MATMUL_PIXELS; p++) {
        output[p == 0 ? 0 : params->offsets[p - 1]] = requantize_as(sums[p], &filter, params->layer);
    }
}

#endif

#endif
