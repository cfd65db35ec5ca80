/*
 * Convolution over all input channels, any stride, dilation and padding, requantised per filter.
 *
 *   output[y][x][f] = requantise(bias[f] + sum over ky, kx, c of
 *       (input[y*stride - pad + ky*dilation][likewise x, kx][c] + input_offset) * weights[f][ky][kx][c])
 *
 * Loops: output row, output column, four filters, kernel row, then one run of products. Four filters share each
 * input value that is loaded. The taps inside the image are found once per output position, so the inner loop
 * tests nothing; without dilation the taps of a kernel row and their channels lie side by side in both input
 * and weights and make a single run. A pointwise convolution is the case of one run of input_channels products.
 * Cost: one MAC per weight and output position, filters rounded up to four, plus one requantisation per output
 * value.
 */
#include "fixed_point.h"
#include "kernels.h"

#define LANES 4

/* Adds to each of four sums the products of `count` input values with its filter's weights. */
static void dot4(int32_t *sums, const int8_t *input, const int8_t *const *filters, int32_t first, int32_t count,
                 int32_t input_offset)
{
    const int8_t *const a = filters[0] + first;
    const int8_t *const b = filters[1] + first;
    const int8_t *const c = filters[2] + first;
    const int8_t *const d = filters[3] + first;
    int32_t sum_a = sums[0], sum_b = sums[1], sum_c = sums[2], sum_d = sums[3];

    for (int32_t i = 0; i < count; i++) {
        const int32_t x = input[i] + input_offset;

        sum_a += x * a[i];
        sum_b += x * b[i];
        sum_c += x * c[i];
        sum_d += x * d[i];
    }
    sums[0] = sum_a;
    sums[1] = sum_b;
    sums[2] = sum_c;
    sums[3] = sum_d;
}

void conv2d_s8(const conv2d_s8_params *params, const int8_t *input, const int8_t *weights, const int32_t *bias,
               const int32_t *multiplier, const int32_t *shift, int8_t *output)
{
    const window_params *const w = &params->window;
    const int32_t channels = w->input_channels;
    const int32_t last = params->output_channels - 1;

    for (int32_t y = 0; y < w->output_height; y++) {
        const int32_t top = y * w->stride_height - w->pad_top;
        const int32_t ky_first = first_tap(top, w->dilation_height);
        const int32_t ky_end = end_tap(top, w->dilation_height, w->kernel_height, w->input_height);

        for (int32_t x = 0; x < w->output_width; x++) {
            const int32_t left = x * w->stride_width - w->pad_left;
            const int32_t kx_first = first_tap(left, w->dilation_width);
            const int32_t kx_end = end_tap(left, w->dilation_width, w->kernel_width, w->input_width);
            const int32_t column = left + kx_first * w->dilation_width;
            const int32_t taps_per_run = w->dilation_width == 1 ? kx_end - kx_first : 1;

            for (int32_t f = 0; f <= last; f += LANES) {
                const int8_t *filters[LANES];
                int32_t sums[LANES];

                /* Lanes beyond the last filter repeat it; nothing is written for them. */
                for (int32_t lane = 0; lane < LANES; lane++) {
                    const int32_t filter = f + lane < last ? f + lane : last;

                    filters[lane] = weights + filter * w->kernel_height * w->kernel_width * channels;
                    sums[lane] = bias[filter];
                }
                for (int32_t ky = ky_first; ky < ky_end; ky++) {
                    int32_t pixel = (top + ky * w->dilation_height) * w->input_width + column;

                    for (int32_t kx = kx_first; kx < kx_end; kx += taps_per_run) {
                        dot4(sums, input + pixel * channels, filters, (ky * w->kernel_width + kx) * channels,
                             taps_per_run * channels, params->input_offset);
                        pixel += w->dilation_width;
                    }
                }
                for (int32_t lane = 0; lane < LANES && f + lane <= last; lane++) {
                    *output++ = requantize(sums[lane], multiplier[f + lane], shift[f + lane], params->output_offset,
                                           params->act_min, params->act_max);
                }
            }
        }
    }
}
