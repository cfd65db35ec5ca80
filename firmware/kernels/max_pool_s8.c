/*
 * Greatest value of each window and channel; what lies outside the image never wins.
 *
 * Loops: output row, output column, channel, kernel row, kernel column. Cost: one load and one comparison per
 * tap and output value. Input and output share scale and zero point, so nothing is requantised.
 */
#include "kernels.h"

void max_pool_s8(const window_params *params, const int8_t *input, int8_t *output)
{
    const window_params *const w = params;

    for (int32_t y = 0; y < w->output_height; y++) {
        const int32_t top = y * w->stride_height - w->pad_top;
        const int32_t ky_first = first_tap(top, 1);
        const int32_t ky_end = end_tap(top, 1, w->kernel_height, w->input_height);

        for (int32_t x = 0; x < w->output_width; x++) {
            const int32_t left = x * w->stride_width - w->pad_left;
            const int32_t kx_first = first_tap(left, 1);
            const int32_t kx_end = end_tap(left, 1, w->kernel_width, w->input_width);

            for (int32_t c = 0; c < w->input_channels; c++) {
                int8_t greatest = INT8_MIN;

                for (int32_t ky = ky_first; ky < ky_end; ky++) {
                    const int8_t *row = input + (top + ky) * w->input_width * w->input_channels + c;

                    for (int32_t kx = kx_first; kx < kx_end; kx++) {
                        const int8_t value = row[(left + kx) * w->input_channels];

                        if (value > greatest) {
                            greatest = value;
                        }
                    }
                }
                *output++ = greatest;
            }
        }
    }
}
