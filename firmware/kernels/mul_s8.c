/*
 * Product of two tensors; a smaller input is resized to the output's rows and columns as it is read, and a single
 * channel repeats, so that what was upsampled is never laid out in memory.
 *
 * Loops: row, column, channel. Cost: one multiplication and one requantisation per output value (about 50
 * cycles), two divisions per row. Each output value is written after both values it depends on were read, so the
 * output may lie exactly over an input of its own shape.
 */
#include "fixed_point.h"
#include "kernels.h"

void mul_s8(const mul_s8_params *params, const int8_t *input1, const int8_t *input2, int8_t *output)
{
    const mul_s8_params *const p = params;
    const tensor_shape *const out = &p->output;
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
                const int32_t product = (*a + p->input1_offset) * (*b + p->input2_offset);

                *output++ = requantize(product, p->multiplier, p->shift, p->output_offset, p->act_min, p->act_max);
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
