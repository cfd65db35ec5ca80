/*
 * Sum of two runs of values of different scales, element by element.
 *
 * ADD_LINEAR: saturate8((x1 * factor1 / 2^8 + x2 * factor2 / 2^8 + constant) / 2^20), each quotient rounded down. The
 * three integers were tried on all 65,536 pairs of bytes when they were chosen, and give what TensorFlow Lite's three
 * double roundings give. Tile: 4 elements, whose bytes are taken two at a time as the high bytes of halves, which is
 * what makes SMLAWx shift them by 8; 6 instructions per element.
 *
 * ADD_GENERAL: where no such integers exist. Both inputs are brought to one scale with ADD_LEFT_SHIFT spare bits,
 * added, and requantised: three multiplications with double rounding, 45 to 51 instructions per element.
 *
 * Loops: element. Each element is written after both values it depends on were read, in rising order.
 */
#include "dsp.h"
#include "fixed_point.h"
#include "kernels.h"

#define ADD_LEFT_SHIFT 20

/* sum + x * factor / 2^8, rounded down; the low 32 bits. */
static inline int32_t add_scaled(int32_t sum, int32_t factor, int32_t x)
{
#if defined(__ARM_FEATURE_DSP)
    return smlawb(factor, (uint32_t)x << 8, sum);
#else
    /* Products of 32 bits alone: wider ones are slow where this is compiled. */
    const int32_t scaled = (factor >> 8) * x + (((factor & 255) * x) >> 8);

    return (int32_t)((uint32_t)sum + (uint32_t)scaled);
#endif
}

#if defined(__ARM_FEATURE_DSP)
/* Elements from `out` to `end`, a multiple of four; `linear` holds factor1, factor2, constant. At any address. */
void add_words_s8(const int32_t linear[3], const int8_t *a, const int8_t *b, int8_t *out, const int8_t *end);

/* Compilers' own code spends 7 instructions per element, as it puts bytes together before it stores them. */
__asm__(".syntax unified\n"
        ".section .text.add_words_s8, \"ax\", %progbits\n"
        ".balign 4\n"
        ".global add_words_s8\n"
        ".thumb_func\n"
        ".type add_words_s8, %function\n"
        "add_words_s8:\n"
        "    push    {r4-r11}\n"
        "    ldm     r0, {r4-r6}\n" /* factor1, factor2, constant */
        "    ldr     r0, [sp, #32]\n" /* end */
        "    mov     r7, #0xFF00FF00\n"
        "1:\n"
        "    ldr     r8, [r1], #4\n"
        "    ldr     r9, [r2], #4\n"
        "    and     r10, r7, r8, lsl #8\n" /* elements 0 and 2, times 2^8 */
        "    and     r11, r7, r9, lsl #8\n"
        "    and     r8, r8, r7\n" /* elements 1 and 3 */
        "    and     r9, r9, r7\n"
        "    smlawb  r12, r4, r10, r6\n"
        "    smlawt  r10, r4, r10, r6\n"
        "    smlawb  r12, r5, r11, r12\n"
        "    smlawt  r10, r5, r11, r10\n"
        "    smlawb  r11, r4, r8, r6\n"
        "    smlawt  r8, r4, r8, r6\n"
        "    smlawb  r11, r5, r9, r11\n"
        "    smlawt  r8, r5, r9, r8\n"
        "    ssat    r12, #8, r12, asr #20\n"
        "    ssat    r11, #8, r11, asr #20\n"
        "    ssat    r10, #8, r10, asr #20\n"
        "    ssat    r8, #8, r8, asr #20\n"
        "    strb    r12, [r3], #1\n"
        "    strb    r11, [r3], #1\n"
        "    strb    r10, [r3], #1\n"
        "    strb    r8, [r3], #1\n"
        "    cmp     r3, r0\n"
        "    bne     1b\n"
        "    pop     {r4-r11}\n"
        "    bx      lr\n"
        ".size add_words_s8, . - add_words_s8\n"
        ".text\n");
#endif

static void add_linear(const int32_t linear[3], int32_t count, const int8_t *a, const int8_t *b, int8_t *out)
{
    const int8_t *const end = out + count;

#if defined(__ARM_FEATURE_DSP)
    const int32_t in_words = count & ~(int32_t)3;

    if (in_words > 0) {
        add_words_s8(linear, a, b, out, out + in_words);
        a += in_words;
        b += in_words;
        out += in_words;
    }
#endif
    while (out < end) {
        const int32_t first = add_scaled(linear[2], linear[0], *a++);

        *out++ = (int8_t)ssat8(add_scaled(first, linear[1], *b++) >> 20);
    }
}

/*
 * What scale_down (fixed_point.h) works out anew for every value. A multiplier of 0 leaves x as it is, but shifts it by
 * 31, and no x here reaches 2^29: the result is 0.
 */
typedef struct {
    int32_t multiplier; /* 2 * m - 2^32, so that SMMLAR gives x * m / 2^31, rounded */
    int32_t half;       /* of the last place that the shift leaves; 0 without a shift */
    int32_t tie;        /* 1: ties of negative numbers go down; 0 without a shift */
    int32_t right;
} scaling;

static inline scaling scaling_of(int32_t multiplier, int32_t shift)
{
    const scaling s = {(int32_t)(2u * (uint32_t)multiplier), (int32_t)(((uint32_t)1 << -shift) >> 1),
                       shift < 0 ? 1 : 0, -shift};

    return s;
}

static inline int32_t scaled(int32_t x, scaling s)
{
    const int32_t y = smmlar(x, s.multiplier, x);

    return (y + s.half - ((int32_t)((uint32_t)y >> 31) & s.tie)) >> s.right;
}

static void add_general(const add_run_s8_params *params, int32_t count, const int8_t *a, int32_t step1,
                        const int8_t *b, int32_t step2, int8_t *out)
{
    const scaling of_first = scaling_of(params->input1_multiplier, params->input1_shift);
    const scaling of_second = scaling_of(params->input2_multiplier, params->input2_shift);
    const scaling of_sum = scaling_of(params->output_multiplier, params->output_shift);
    const int32_t offset1 = params->input1_offset, offset2 = params->input2_offset;
    const int32_t offset = params->output_offset, low = params->act_min, high = params->act_max;
    const int32_t unit = (int32_t)1 << ADD_LEFT_SHIFT;

    for (const int8_t *const end = out + count; out < end; a += step1, b += step2) {
        const int32_t first = scaled((*a + offset1) * unit, of_first);
        const int32_t second = scaled((*b + offset2) * unit, of_second);

        *out++ = activation(scaled(first + second, of_sum), offset, low, high);
    }
}

void add_stepped_s8(const add_run_s8_params *params, int32_t count, const int8_t *a, int32_t step1, const int8_t *b,
                    int32_t step2, int8_t *out)
{
    int32_t linear[3] = {params->factor1, params->factor2, params->constant};

    if (params->kind == ADD_GENERAL) {
        add_general(params, count, a, step1, b, step2, out);
        return;
    }
    /* A value that repeats is part of the constant; in its place the other operand is read again, times 0. */
    if (step1 == 0) {
        linear[2] = add_scaled(linear[2], linear[0], *a);
        linear[0] = 0;
        a = b;
    } else if (step2 == 0) {
        linear[2] = add_scaled(linear[2], linear[1], *b);
        linear[1] = 0;
        b = a;
    }
    add_linear(linear, count, a, b, out);
}

void add_run_s8(const add_run_s8_params *params, int32_t count, const int8_t *a, const int8_t *b, int8_t *out)
{
    add_stepped_s8(params, count, a, 1, b, 1, out);
}
