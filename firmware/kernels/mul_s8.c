/*
 * Product of two tensors; an input whose extent along an axis is 1 repeats along it.
 *
 * Loops: row, column, channel. Cost: one multiplication and one requantisation per output value (about 50
 * instructions). Each output value is written after both values it depends on were read, so the output may
 * lie exactly over an input of its own shape.
 */
#include "fixed_point.h"
#include "kernels.h"

void mul_s8(const mul_s8_params *params, const int8_t *input1, const int8_t *input2, int8_t *output)
{
    const mul_s8_params *const p = params;

    for (int32_t y = 0; y < p->height; y++) {
        for (int32_t x = 0; x < p->width; x++) {
            const int8_t *a = input1 + y * p->stride1.row + x * p->stride1.column;
            const int8_t *b = input2 + y * p->stride2.row + x * p->stride2.column;

            for (int32_t c = 0; c < p->channels; c++) {
                const int32_t product = (*a + p->input1_offset) * (*b + p->input2_offset);

                *output++ = requantize(product, p->multiplier, p->shift, p->output_offset, p->act_min, p->act_max);
                a += p->stride1.channel;
                b += p->stride2.channel;
            }
        }
    }
}
