/*
 * Depthwise convolution with a kernel of one pixel: every channel times its own factor, plus its own bias. What a
 * BatchNorm that cannot be folded leaves, and grouped convolutions of attention condensers.
 *
 * Loops: output channel, so that its five constants stay in registers, then positions. Cost: 11 instructions for an
 * output, 12 where requantisation is REQUANTIZE_SATURATING. Each element is written after it is read, so with one
 * output per channel the output may lie exactly over the input.
 */
#include "kernels.h"

static void rectified(const int8_t *input, uint32_t factor, uint32_t bias, const requant_s8 *requant, int32_t pixels,
                      int32_t channels, int32_t outputs, int8_t *output)
{
    const requant_s8 kept = *requant;

    for (; pixels > 0; pixels--) {
        *output = requantize_rectified((int32_t)(bias + (uint32_t)*input * factor), &kept);
        input += channels;
        output += outputs;
    }
}

static void saturating(const int8_t *input, uint32_t factor, uint32_t bias, const requant_s8 *requant, int32_t pixels,
                       int32_t channels, int32_t outputs, int8_t *output)
{
    const requant_s8 kept = *requant;

    for (; pixels > 0; pixels--) {
        *output = requantize_saturating((int32_t)(bias + (uint32_t)*input * factor), &kept);
        input += channels;
        output += outputs;
    }
}

void channelwise_s8(const channelwise_s8_params *params, const int8_t *input, const int8_t *weights,
                    const int32_t *bias, const requant_s8 *requant, int8_t *output)
{
    const requantization *const layer = &params->requantization;
    const int32_t channels = params->channels, outputs = channels * params->channel_multiplier;

    for (int32_t channel = 0; channel < channels; channel++) {
        for (int32_t i = 0; i < params->channel_multiplier; i++) {
            const uint32_t factor = (uint32_t)*weights++, constant = (uint32_t)*bias++;

            if (layer->kind == REQUANTIZE_RECTIFIED) {
                rectified(input, factor, constant, requant, params->pixels, channels, outputs, output);
            } else if (layer->kind == REQUANTIZE_SATURATING) {
                saturating(input, factor, constant, requant, params->pixels, channels, outputs, output);
            } else {
                for (int32_t pixel = 0; pixel < params->pixels; pixel++) {
                    const uint32_t sum = constant + (uint32_t)input[pixel * channels] * factor;

                    output[pixel * outputs] = requantize_general((int32_t)sum, requant, layer);
                }
            }
            requant++;
            output++;
        }
        input++;
    }
}
