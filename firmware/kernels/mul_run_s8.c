/*
 * Product of two runs of values, element by element, requantised to the output's scale.
 *
 * Fast: where the activation range is all of int8 and the shift goes to the right. Tile: 4 elements, whose zero points
 * are subtracted two at a time; 8.5 instructions per element, 13 where one operand repeats. Otherwise about 35.
 *
 * The fast form is product * multiplier / 2^31, rounded up at ties, plus the rounding, shifted; one is taken off where
 * the product is negative, so that ties of the shift go away from zero. (TensorFlow Lite takes it off where the rounded
 * quotient is negative. That differs at a quotient of 0 alone, where half, less one or not, is shifted to 0.)
 *
 * Loops: element. Each element is written after both values it depends on were read, in rising order.
 */
#include "dsp.h"
#include "fixed_point.h"
#include "kernels.h"

#if defined(__ARM_FEATURE_DSP)
/* An offset in both halves of a word. */
static int32_t twice(int32_t offset)
{
    return (int32_t)(((uint32_t)offset & 0xFFFFu) * 0x10001u);
}

/*
 * Elements from `out` to `end`, a multiple of four, at any address; `fast` holds both offsets, each in both halves of
 * a word, multiplier, rounding, and the shift to the right.
 */
void mul_words_s8(const int32_t fast[5], const int8_t *a, const int8_t *b, int8_t *out, const int8_t *end);

/* Compilers' own code spends 9.5 to 11.5 instructions per element: it needs every register. */
__asm__(".syntax unified\n"
        ".section .text.mul_words_s8, \"ax\", %progbits\n"
        ".balign 4\n"
        ".global mul_words_s8\n"
        ".thumb_func\n"
        ".type mul_words_s8, %function\n"
        "mul_words_s8:\n"
        "    push    {r4-r11, lr}\n"
        "    ldm     r0, {r4-r8}\n" /* offsets1, offsets2, multiplier, rounding, shift */
        "    ldr     r0, [sp, #36]\n" /* end */
        "1:\n"
        "    ldr     r9, [r1], #4\n"
        "    ldr     r10, [r2], #4\n"
        "    sxtab16 r11, r4, r9\n" /* elements 0 and 2 */
        "    sxtab16 r12, r5, r10\n"
        "    sadd16  r11, r11, r11\n"
        "    smulbb  lr, r11, r12\n"
        "    smultt  r11, r11, r12\n"
        "    smmlar  r12, lr, r6, r7\n"
        "    add     r12, r12, lr, asr #31\n"
        "    asr     r12, r12, r8\n"
        "    ssat    r12, #8, r12\n"
        "    smmlar  lr, r11, r6, r7\n"
        "    add     lr, lr, r11, asr #31\n"
        "    asr     lr, lr, r8\n"
        "    ssat    lr, #8, lr\n"
        "    strb    r12, [r3], #4\n"
        "    strb    lr, [r3, #-2]\n"
        "    sxtab16 r11, r4, r9, ror #8\n" /* elements 1 and 3 */
        "    sxtab16 r12, r5, r10, ror #8\n"
        "    sadd16  r11, r11, r11\n"
        "    smulbb  lr, r11, r12\n"
        "    smultt  r11, r11, r12\n"
        "    smmlar  r12, lr, r6, r7\n"
        "    add     r12, r12, lr, asr #31\n"
        "    asr     r12, r12, r8\n"
        "    ssat    r12, #8, r12\n"
        "    smmlar  lr, r11, r6, r7\n"
        "    add     lr, lr, r11, asr #31\n"
        "    asr     lr, lr, r8\n"
        "    ssat    lr, #8, lr\n"
        "    strb    r12, [r3, #-3]\n"
        "    strb    lr, [r3, #-1]\n"
        "    cmp     r3, r0\n"
        "    bne     1b\n"
        "    pop     {r4-r11, pc}\n"
        ".size mul_words_s8, . - mul_words_s8\n"
        ".text\n");
#endif

static void mul_fast(const mul_run_s8_params *params, int32_t count, const int8_t *a, int32_t step1, const int8_t *b,
                     int32_t step2, int8_t *out)
{
    const int32_t multiplier = params->multiplier, rounding = params->rounding, right = -params->shift;
    const int32_t offset1 = params->input1_offset, offset2 = params->input2_offset;
    const int8_t *const end = out + count;

#if defined(__ARM_FEATURE_DSP)
    const int32_t in_words = count & ~(int32_t)3;

    if (step1 == 1 && step2 == 1 && in_words > 0) {
        const int32_t fast[5] = {twice(offset1), twice(offset2), multiplier, rounding, right};

        mul_words_s8(fast, a, b, out, out + in_words);
        a += in_words;
        b += in_words;
        out += in_words;
    }
#endif
    for (; out < end; a += step1, b += step2) {
        const int32_t product_twice = 2 * (*a + offset1) * (*b + offset2);

        *out++ = (int8_t)ssat8((smmlar(product_twice, multiplier, rounding) + (product_twice >> 31)) >> right);
    }
}

static void mul_general(const mul_run_s8_params *params, int32_t count, const int8_t *a, int32_t step1, const int8_t *b,
                        int32_t step2, int8_t *out)
{
    const mul_run_s8_params *const p = params;
    const int8_t *const end = out + count;

    for (; out < end; a += step1, b += step2) {
        const int32_t product = (*a + p->input1_offset) * (*b + p->input2_offset);

        *out++ = requantize(product, p->multiplier, p->shift, p->output_offset, p->act_min, p->act_max);
    }
}

void mul_stepped_s8(const mul_run_s8_params *params, int32_t count, const int8_t *a, int32_t step1, const int8_t *b,
                    int32_t step2, int8_t *out)
{
    if (params->fast != 0) {
        mul_fast(params, count, a, step1, b, step2, out);
    } else {
        mul_general(params, count, a, step1, b, step2, out);
    }
}
