/*
 * Sum of two tensors of different scales; an input whose extent along an axis is 1 repeats along it.
 *
 * Both inputs are brought to one scale with left_shift spare bits, added, and requantised: three
 * multiplications with double rounding for each output value (about 90 instructions on a Cortex-M4).
 *
 * Loops: row, column, channel. Each output value is written after both values it depends on were read, so the
 * output may lie exactly over an input of its own shape.
 */
#include "fixed_point.h"
#include "kernels.h"

void add_s8(const add_s8_params *params, const int8_t *input1, const int8_t *input2, int8_t *output)
{
    const add_s8_params *const p = params;
    const int32_t unit = (int32_t)1 << p->left_shift;

    for (int32_t y = 0; y < p->height; y++) {
        for (int32_t x = 0; x < p->width; x++) {
            const int8_t *a = input1 + y * p->stride1.row + x * p->stride1.column;
            const int8_t *b = input2 + y * p->stride2.row + x * p->stride2.column;

            for (int32_t c = 0; c < p->channels; c++) {
                const int32_t first = multiply_by_quantized_multiplier((*a + p->input1_offset) * unit,
                                                                       p->input1_multiplier, p->input1_shift);
                const int32_t second = multiply_by_quantized_multiplier((*b + p->input2_offset) * unit,
                                                                        p->input2_multiplier, p->input2_shift);

                *output++ = requantize(first + second, p->output_multiplier, p->output_shift, p->output_offset,
                                       p->act_min, p->act_max);
                a += p->stride1.channel;
                b += p->stride2.channel;
            }
        }
    }
}
