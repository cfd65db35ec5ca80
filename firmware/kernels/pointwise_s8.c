/*
 * Convolution with a kernel of one pixel, stride 1, requantised per filter.
 *
 *   output[p][f] = requantise(bias[f] + sum over c of input[p][c] * weights[f][c])
 *
 * Four pixels at a time are expanded to halves in scratch and multiplied with all filters (matmul_s8.c), in the order
 * of memory. Their outputs are written when they have been read, and no earlier pixel is read again: so the output may
 * begin where the input does if a pixel has no more outputs than inputs.
 * Cost: that of matmul_s8.c, and about one instruction for each input value of a pixel.
 */
#include "kernels.h"
#include "matmul_s8.h"

void pointwise_s8(const pointwise_s8_params *params, const int8_t *input, const int32_t *filters, int32_t *scratch,
                  int32_t pixels, int8_t *output)
{
    const int32_t channels = params->input_channels;
    uint32_t *const expanded = (uint32_t *)scratch;
    matmul_s8_params matmul = {
        (channels + MATMUL_STEP - 1) / MATMUL_STEP, params->output_channels, {0, 0, 0}, &params->requantization};

    place_pixels(&matmul, MATMUL_PIXELS);
    for (; pixels > 0; pixels -= MATMUL_PIXELS) {
        const int8_t *four[MATMUL_PIXELS];

        for (int32_t i = 0; i < MATMUL_PIXELS; i++) {
            four[i] = input;
            input += i + 1 < pixels ? channels : 0;
        }
        if (pixels < MATMUL_PIXELS) {
            place_pixels(&matmul, pixels);
        }
        expand_s8(expanded, four, channels);
        matmul_s8(&matmul, expanded, filters, output);
        output += MATMUL_PIXELS * params->output_channels;
    }
}
