/*
 * Nearest-neighbour resize: output row y reads input row y * input_height / output_height (rounded down),
 * columns likewise.
 *
 * Loops: output row, output column, channel. Cost: one division and about 15 instructions per output column, 1.25 per
 * byte copied where the core loads words at any address, else 3.
 */
#include "dsp.h"
#include "kernels.h"

void upsample_nearest_s8(const upsample_nearest_s8_params *params, const int8_t *input, int8_t *output)
{
    const int32_t channels = params->channels;
    const int32_t row_step = params->input_width * channels;

    for (int32_t y = 0; y < params->output_height; y++) {
        const int8_t *const row = input + y * params->input_height / params->output_height * row_step;

        for (int32_t x = 0; x < params->output_width; x++) {
            const int8_t *from = row + x * params->input_width / params->output_width * channels;
            const int8_t *const end = from + channels;

#if defined(__ARM_FEATURE_DSP)
            for (const int8_t *const last = end - (channels & 3); from < last; from += 4) {
                store_word(output, load_word(from));
                output += 4;
            }
#endif
            while (from < end) {
                *output++ = *from++;
            }
        }
    }
}
