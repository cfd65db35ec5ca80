/*
 * What pointwise_s8 and pointwise_s4 do, which differ in the product alone.
 *
 * Four pixels at a time are expanded to halves in scratch and multiplied with all filters, in the order of memory. Their
 * outputs are written when they have been read, and no earlier pixel is read again: so the output may begin where the
 * input does if a pixel has no more outputs than inputs.
 */
#ifndef POINTWISE_H
#define POINTWISE_H

#include "kernels.h"
#include "matmul_s8.h"

typedef void matmul_function(const matmul_s8_params *params, const uint32_t *expanded, const int32_t *filters,
                             int8_t *output);

static inline void pointwise(const pointwise_s8_params *params, const int8_t *input, const int32_t *filters,
                             int32_t *scratch, int32_t pixels, int8_t *output, matmul_function *product)
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
        product(&matmul, expanded, filters, output);
        output += MATMUL_PIXELS * params->output_channels;
    }
}

#endif
