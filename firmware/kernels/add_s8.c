/*
 * Sum of two tensors of different scales; a smaller input is resized to the output's rows and columns as it is read,
 * and a single channel repeats, so that what was upsampled is never laid out in memory.
 *
 * Both inputs are brought to one scale with left_shift spare bits, added, and requantised: three
 * multiplications with double rounding for each output value (about 95 cycles on a Cortex-M4).
 *
 * Loops: row, column, channel; two divisions per row. Each output value is written after both values it depends on
 * were read, so the output may lie exactly over an input of its own shape.
 */
#include "fixed_point.h"
#include "kernels.h"

void add_s8(const add_s8_params *params, const int8_t *input1, const int8_t *input2, int8_t *output)
{
    const add_s8_params *const p = params;
    const tensor_shape *const out = &p->output;
    const int32_t unit = (int32_t)1 << p->left_shift;
    const int32_t step1 = p->input1.channels == out->channels ? 1 : 0;
    const int32_t step2 = p->input2.channels == out->channels ? 1 : 0;

    for (int32_t y = 0; y < out->height; y++) {
        const int8_t *pixel1 = input1 + y * p->input1.height / out->height * p->input1.width * p->input1.channels;
        const int8_t *pixel2 = input2 + y * p->input2.height / out->height * p->input2.width * p->input2.channels;
        int32_t rest1 = 0, rest2 = 0;

        for (int32_t x = 0; x < out->width; x++) {
            const int8_t *const end = output + out->channels;
            const int8_t *a = pixel1;
            const int8_t *b = pixel2;

            while (output < end) {
                const int32_t first =
                    scale_down((*a + p->input1_offset) * unit, p->input1_multiplier, -p->input1_shift);
                const int32_t second =
                    scale_down((*b + p->input2_offset) * unit, p->input2_multiplier, -p->input2_shift);
                const int32_t sum = scale_down(first + second, p->output_multiplier, -p->output_shift);

                *output++ = activation(sum, p->output_offset, p->act_min, p->act_max);
                a += step1;
                b += step2;
            }
            if (moves_on(&rest1, p->input1.width, out->width)) {
                pixel1 += p->input1.channels;
            }
            if (moves_on(&rest2, p->input2.width, out->width)) {
                pixel2 += p->input2.channels;
            }
        }
    }
}
