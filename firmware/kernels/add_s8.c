/*
 * Sum of two tensors of different scales; a smaller input is resized to the output's rows and columns as it is read,
 * and a single channel repeats, so that what was upsampled is never laid out in memory.
 *
 * Loops: row, column; the channels of a position are one run (add_run_s8.c), and so are axes that the parameters give
 * as one. Two divisions per row, about 35 instructions per run, and add_run_s8's per element. Each output value is
 * written after both values it depends on were read, so the output may lie exactly over an input of its own shape.
 */
#include "kernels.h"

void add_s8(const add_s8_params *params, const int8_t *input1, const int8_t *input2, int8_t *output)
{
    const operand_shapes *const s = &params->shapes;
    const tensor_shape *const out = &s->output;
    const int32_t step1 = s->input1.channels == out->channels ? 1 : 0;
    const int32_t step2 = s->input2.channels == out->channels ? 1 : 0;

    for (int32_t y = 0; y < out->height; y++) {
        const int8_t *pixel1 = input1 + y * s->input1.height / out->height * s->input1.width * s->input1.channels;
        const int8_t *pixel2 = input2 + y * s->input2.height / out->height * s->input2.width * s->input2.channels;
        int32_t rest1 = 0, rest2 = 0;

        for (int32_t x = 0; x < out->width; x++) {
            add_stepped_s8(&params->run, out->channels, pixel1, step1, pixel2, step2, output);
            output += out->channels;
            if (moves_on(&rest1, s->input1.width, out->width)) {
                pixel1 += s->input1.channels;
            }
            if (moves_on(&rest2, s->input2.width, out->width)) {
                pixel2 += s->input2.channels;
            }
        }
    }
}
