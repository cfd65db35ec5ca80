/*
 * Nearest-neighbour resize: output row y reads input row y * input_height / output_height (rounded down),
 * columns likewise.
 *
 * Loops: output row, output column, channel. Cost: one copy per byte, one division per output column.
 */
#include "kernels.h"

void upsample_nearest_s8(const upsample_nearest_s8_params *params, const int8_t *input, int8_t *output)
{
    for (int32_t y = 0; y < params->output_height; y++) {
        const int32_t row = y * params->input_height / params->output_height;

        for (int32_t x = 0; x < params->output_width; x++) {
            const int32_t column = x * params->input_width / params->output_width;
            const int8_t *from = input + (row * params->input_width + column) * params->channels;

            for (int32_t c = 0; c < params->channels; c++) {
                *output++ = from[c];
            }
        }
    }
}
