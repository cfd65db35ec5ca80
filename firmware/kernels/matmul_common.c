/*
 * What matrix products with weights of 8 and of 4 bits share where layouts are the DSP extension's: pixels expanded in
 * the order that matmul_s8.c and matmul_s4.c read them in, and outputs of layers that are requantised the long way.
 *
 * For every step of four inputs k0..k3 come four words of the pixels' halves (k0, k2), then four of their (k1, k3), the
 * lower input in the lower half. Cost: about one instruction for each input value of a pixel.
 */
#include "matmul_common.h"

#define PIXELS MATMUL_PIXELS

#if defined(__ARM_FEATURE_DSP)

void matmul_requantize_general(const int32_t *sums, const requant_s8 *filter, places *to, const requantization *layer)
{
    int8_t *const output = to->output;

    output[0] = requantize_general(sums[0], filter, layer);
    for (int32_t i = 1; i < PIXELS; i++) {
        output[to->offsets[i - 1]] = requantize_general(sums[i], filter, layer);
    }
    to->output = output + 1;
}

void matmul_expand_words(uint32_t *expanded, const int8_t *const *pixels, int32_t words);

/* Whole words of four inputs, `words` from each pixel, at least one: 15 instructions for 16 values. */
__asm__(".pushsection .text.matmul_expand_words, \"ax\", %progbits\n"
        ".syntax unified\n"
        ".thumb\n"
        ".balign 4\n"
        ".global matmul_expand_words\n"
        ".thumb_func\n"
        ".type matmul_expand_words, %function\n"
        "matmul_expand_words:\n"
        "push {r4-r11, lr}\n"
        "mov lr, r2\n"
        "ldm r1, {r1, r2, r3, r12}\n"
        ".Lmatmul_expand_word:\n"
        "ldr.w r8, [r1], #4\n"
        "ldr.w r9, [r2], #4\n"
        "ldr.w r10, [r3], #4\n"
        "ldr.w r11, [r12], #4\n"
        "sxtb16 r4, r8\n"
        "sxtb16 r5, r9\n"
        "sxtb16 r6, r10\n"
        "sxtb16 r7, r11\n"
        "sxtb16 r8, r8, ror #8\n"
        "sxtb16 r9, r9, ror #8\n"
        "sxtb16 r10, r10, ror #8\n"
        "sxtb16 r11, r11, ror #8\n"
        "stm r0!, {r4-r11}\n"
        "subs lr, lr, #1\n"
        "bne .Lmatmul_expand_word\n"
        "pop {r4-r11, pc}\n"
        ".size matmul_expand_words, . - matmul_expand_words\n"
        ".popsection\n");

#endif

/* Bytes 0 and 2, or with `odd` 1 and 3, of `count` bytes (missing ones as 0) as halves of a word. */
static uint32_t halves(const int8_t *bytes, int32_t count, int32_t odd)
{
    const uint32_t low = odd < count ? (uint16_t)bytes[odd] : 0u;
    const uint32_t high = odd + 2 < count ? (uint16_t)bytes[odd + 2] : 0u;

    return low | high << 16;
}

void expand_pixel_s8(uint32_t *expanded, int32_t index, const int8_t *pixel, int32_t inputs)
{
    expanded += index;
#if defined(__ARM_FEATURE_DSP)
    for (; inputs >= 2 * MATMUL_STEP; inputs -= 2 * MATMUL_STEP) {
        const uint32_t first = load_word(pixel), second = load_word(pixel + MATMUL_STEP);

        expanded[0] = sxtb16(first);
        expanded[PIXELS] = sxtb16_odd(first);
        expanded[2 * PIXELS] = sxtb16(second);
        expanded[3 * PIXELS] = sxtb16_odd(second);
        pixel += 2 * MATMUL_STEP;
        expanded += 4 * PIXELS;
    }
    if (inputs >= MATMUL_STEP) {
        const uint32_t word = load_word(pixel);

        expanded[0] = sxtb16(word);
        expanded[PIXELS] = sxtb16_odd(word);
        pixel += MATMUL_STEP;
        expanded += 2 * PIXELS;
        inputs -= MATMUL_STEP;
    }
#endif
    for (; inputs > 0; inputs -= MATMUL_STEP) {
        expanded[0] = halves(pixel, inputs, 0);
        expanded[PIXELS] = halves(pixel, inputs, 1);
        pixel += MATMUL_STEP;
        expanded += 2 * PIXELS;
    }
}

void expand_s8(uint32_t *expanded, const int8_t *const *pixels, int32_t inputs)
{
    int32_t done = 0;

#if defined(__ARM_FEATURE_DSP)
    if (inputs >= MATMUL_STEP) {
        matmul_expand_words(expanded, pixels, inputs / MATMUL_STEP);
        done = inputs / MATMUL_STEP * MATMUL_STEP;
    }
#endif
    if (done < inputs) {
        for (int32_t p = 0; p < PIXELS; p++) {
            expand_pixel_s8(expanded + MATMUL_WORDS(done), p, pixels[p] + done, inputs - done);
        }
    }
}

/* `count` words, `step` words apart, of two halves that are both `value`. */
static void pad(uint32_t *expanded, int32_t value, int32_t count, int32_t step)
{
    const uint32_t half = (uint16_t)value;

    for (int32_t i = 0; i < count; i++) {
        expanded[i * step] = half | half << 16;
    }
}

void pad_s8(uint32_t *expanded, int32_t value, int32_t inputs)
{
    pad(expanded, value, MATMUL_WORDS(inputs), 1);
}

void pad_pixel_s8(uint32_t *expanded, int32_t index, int32_t value, int32_t inputs)
{
    pad(expanded + index, value, MATMUL_WORDS(inputs) / PIXELS, PIXELS);
}
