/*
 * Mean of each window and channel over the taps inside the image, rounded to nearest, ties away from zero. Input and
 * output share scale and zero point, so nothing is requantised.
 *
 * Loops: output row, output column, group of channels, the window's shorter axis, its longer axis. Tile: 4 channels,
 * two taps at a time, summed as halves; 1.1 instructions per tap and channel, and 2 per turn of the outer of both.
 * Channels that are left over, and all where the core has no SIMD instructions, go one by one: about 5. One division
 * per output value.
 *
 * Order: output values are written in rising order, each after all that its channel's window holds was read; nothing of
 * a channel before that of the value written last is read any more at this position.
 */
#include "kernels.h"

#if defined(__ARM_FEATURE_DSP)
#define MOST_IN_HALVES 256 /* taps: 256 times -128 is what a half can hold */

/* Adds the values of at most MOST_IN_HALVES taps to the sums of the four channels at `from`, any address. */
void sum_words_s8(const pool_taps *taps, const int8_t *from, int32_t sums[4]);

__asm__(".syntax unified\n"
        ".section .text.sum_words_s8, \"ax\", %progbits\n"
        ".balign 4\n"
        ".global sum_words_s8\n"
        ".thumb_func\n"
        ".type sum_words_s8, %function\n"
        "sum_words_s8:\n"
        "    push    {r4-r11, lr}\n"
        "    ldm     r0, {r4-r7}\n" /* taps */
        "    mov     r8, #0\n" /* channels 0 and 2 */
        "    mov     r9, #0\n" /* channels 1 and 3 */
        "1:\n" /* outer */
        "    mov     r11, r1\n"
        "    subs    r10, r5, #2\n"
        "    blt     3f\n"
        "2:\n" /* two inner taps */
        "    ldr     r0, [r11]\n"
        "    ldr     lr, [r11, r6]\n"
        "    add     r11, r11, r6, lsl #1\n"
        "    sxtab16 r8, r8, r0\n"
        "    sxtab16 r9, r9, r0, ror #8\n"
        "    sxtab16 r8, r8, lr\n"
        "    sxtab16 r9, r9, lr, ror #8\n"
        "    subs    r10, r10, #2\n"
        "    bge     2b\n"
        "3:\n"
        "    adds    r10, r10, #1\n"
        "    bne     4f\n"
        "    ldr     r0, [r11]\n"
        "    sxtab16 r8, r8, r0\n"
        "    sxtab16 r9, r9, r0, ror #8\n"
        "4:\n"
        "    add     r1, r1, r7\n"
        "    subs    r4, r4, #1\n"
        "    bne     1b\n"
        "    ldm     r2, {r4-r7}\n"
        "    sxtah   r4, r4, r8\n"
        "    sxtah   r5, r5, r9\n"
        "    add     r6, r6, r8, asr #16\n"
        "    add     r7, r7, r9, asr #16\n"
        "    stm     r2, {r4-r7}\n"
        "    pop     {r4-r11, pc}\n"
        ".size sum_words_s8, . - sum_words_s8\n"
        ".text\n");

/* The same for any number of taps. */
static void sum_all_words(const pool_taps *taps, const int8_t *from, int32_t sums[4])
{
    const int32_t most_inner = taps->inner < MOST_IN_HALVES ? taps->inner : MOST_IN_HALVES;
    const int32_t most_outer = MOST_IN_HALVES / most_inner;
    pool_taps part = *taps;

    for (int32_t y = 0; y < taps->outer; y += most_outer) {
        part.outer = taps->outer - y < most_outer ? taps->outer - y : most_outer;
        for (int32_t x = 0; x < taps->inner; x += most_inner) {
            part.inner = taps->inner - x < most_inner ? taps->inner - x : most_inner;
            sum_words_s8(&part, from + y * taps->outer_step + x * taps->inner_step, sums);
        }
    }
}
#endif

static inline int8_t mean(int32_t sum, int32_t count)
{
    return (int8_t)((sum > 0 ? sum + count / 2 : sum - count / 2) / count);
}

void avg_pool_s8(const window_params *params, const int8_t *input, int8_t *output)
{
    const window_params *const w = params;
    const int32_t channels = w->input_channels;
    const int32_t row_step = w->input_width * channels;

    for (int32_t y = 0; y < w->output_height; y++) {
        const int32_t top = y * w->stride_height - w->pad_top;
        const int32_t first_row = first_tap(top, 1);
        const int32_t rows = end_tap(top, 1, w->kernel_height, w->input_height) - first_row;

        for (int32_t x = 0; x < w->output_width; x++) {
            const int32_t left = x * w->stride_width - w->pad_left;
            const int32_t first_column = first_tap(left, 1);
            const int32_t columns = end_tap(left, 1, w->kernel_width, w->input_width) - first_column;
            const pool_taps taps = taps_inside(rows, columns, channels, row_step);
            const int32_t count = rows * columns;
            const int8_t *from = input + (top + first_row) * row_step + (left + first_column) * channels;
            int32_t c = 0;

#if defined(__ARM_FEATURE_DSP)
            for (; c + 4 <= channels; c += 4) {
                int32_t sums[4] = {0, 0, 0, 0};

                if (count <= MOST_IN_HALVES) {
                    sum_words_s8(&taps, from, sums);
                } else {
                    sum_all_words(&taps, from, sums);
                }
                for (int32_t i = 0; i < 4; i++) {
                    *output++ = mean(sums[i], count);
                }
                from += 4;
            }
#endif
            for (; c < channels; c++) {
                const int8_t *line = from;
                int32_t sum = 0;

                for (int32_t i = 0; i < taps.outer; i++) {
                    const int8_t *tap = line;

                    for (int32_t k = 0; k < taps.inner; k++) {
                        sum += *tap;
                        tap += taps.inner_step;
                    }
                    line += taps.outer_step;
                }
                *output++ = mean(sum, count);
                from++;
            }
        }
    }
}
