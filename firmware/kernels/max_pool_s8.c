/*
 * Greatest value of each window and channel; what lies outside the image never wins. Input and output share scale and
 * zero point, so nothing is requantised.
 *
 * Loops: output row, output column, group of channels, the window's shorter axis, its longer axis. Tile: 4 channels,
 * two taps at a time; 1.1 instructions per tap and channel, and 2 per turn of the outer of both. Channels that are left
 * over, and all where the core has no SIMD instructions, go one by one: about 6.
 *
 * Order: output values are written in rising order, each after all that its channel's window holds was read; nothing of
 * a channel before that of the value written last is read any more at this position.
 */
#include "kernels.h"

#if defined(__ARM_FEATURE_DSP)
/* Greatest values of the channels at `from` on, written from `to` to `end`, a multiple of four; any addresses. */
void max_words_s8(const pool_taps *taps, const int8_t *from, int8_t *to, const int8_t *end);

/* Compilers run out of registers here and spend twice as much on an outer turn. */
__asm__(".syntax unified\n"
        ".section .text.max_words_s8, \"ax\", %progbits\n"
        ".balign 4\n"
        ".global max_words_s8\n"
        ".thumb_func\n"
        ".type max_words_s8, %function\n"
        "max_words_s8:\n"
        "    push    {r3-r11, lr}\n" /* end is read from the stack */
        "    ldm     r0, {r4-r7}\n" /* taps */
        "1:\n" /* four channels */
        "    mov     r8, r1\n"
        "    mov     r9, r4\n"
        "    mov     r10, #0x80808080\n"
        "2:\n" /* outer */
        "    mov     r11, r8\n"
        "    subs    r12, r5, #2\n"
        "    blt     4f\n"
        "3:\n" /* two inner taps */
        "    ldr     r0, [r11]\n"
        "    ldr     lr, [r11, r6]\n"
        "    add     r11, r11, r6, lsl #1\n"
        "    ssub8   r3, r10, r0\n"
        "    sel     r10, r10, r0\n"
        "    ssub8   r3, r10, lr\n"
        "    sel     r10, r10, lr\n"
        "    subs    r12, r12, #2\n"
        "    bge     3b\n"
        "4:\n"
        "    adds    r12, r12, #1\n"
        "    bne     5f\n"
        "    ldr     r0, [r11]\n"
        "    ssub8   r3, r10, r0\n"
        "    sel     r10, r10, r0\n"
        "5:\n"
        "    add     r8, r8, r7\n"
        "    subs    r9, r9, #1\n"
        "    bne     2b\n"
        "    ldr     r0, [sp]\n"
        "    str     r10, [r2], #4\n"
        "    add     r1, r1, #4\n"
        "    cmp     r2, r0\n"
        "    bne     1b\n"
        "    pop     {r3-r11, pc}\n"
        ".size max_words_s8, . - max_words_s8\n"
        ".text\n");
#endif

void max_pool_s8(const window_params *params, const int8_t *input, int8_t *output)
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
            const int8_t *from = input + (top + first_row) * row_step + (left + first_column) * channels;
            int32_t c = 0;

#if defined(__ARM_FEATURE_DSP)
            c = channels & ~(int32_t)3;
            if (c > 0) {
                max_words_s8(&taps, from, output, output + c);
                output += c;
                from += c;
            }
#endif
            for (; c < channels; c++) {
                const int8_t *line = from;
                int32_t greatest = INT8_MIN;

                for (int32_t i = 0; i < taps.outer; i++) {
                    const int8_t *tap = line;

                    for (int32_t k = 0; k < taps.inner; k++) {
                        if (*tap > greatest) {
                            greatest = *tap;
                        }
                        tap += taps.inner_step;
                    }
                    line += taps.outer_step;
                }
                *output++ = (int8_t)greatest;
                from++;
            }
        }
    }
}
