/*
 * One window per channel, channel_multiplier outputs each; any stride, dilation and padding, requantised per
 * output channel.
 *
 *   output[y][x][c*m + i] = requantise(bias[c*m + i] + sum over ky, kx of
 *       (input[y*stride - pad + ky*dilation][likewise x, kx][c] + input_offset) * weights[ky][kx][c*m + i])
 *   with m = channel_multiplier and i in 0..m-1
 *
 * Loops: output row, output column, output channel, kernel row, kernel column. The taps inside the image are
 * found once per output position. With one output per input channel, four channels go through the taps
 * together, so that a tap's address is computed for four MACs; otherwise, and for what is left, one at a time.
 * Cost: one MAC per tap and output value; a requantisation falls on only kernel_height * kernel_width MACs.
 */
#include "fixed_point.h"
#include "kernels.h"

#define LANES 4

/* Taps of one output position: the first one's place in input and weights, and steps to the others, in elements. */
typedef struct {
    int32_t rows, columns;
    int32_t input_first, input_row, input_column;
    int32_t weight_first, weight_row, weight_column;
} tap_grid;

/* Adds the products of an output channel's taps to its sum. */
static int32_t sum_taps(int32_t sum, const tap_grid *grid, const int8_t *input, const int8_t *weights, int32_t channel,
                        int32_t out, int32_t input_offset)
{
    for (int32_t ky = 0; ky < grid->rows; ky++) {
        int32_t from = grid->input_first + ky * grid->input_row + channel;
        int32_t factor = grid->weight_first + ky * grid->weight_row + out;

        for (int32_t kx = 0; kx < grid->columns; kx++) {
            sum += (input[from] + input_offset) * weights[factor];
            from += grid->input_column;
            factor += grid->weight_column;
        }
    }
    return sum;
}

/* The same for four channels that lie side by side and have one output each. */
static void sum_taps4(int32_t *sums, const tap_grid *grid, const int8_t *input, const int8_t *weights, int32_t channel,
                      int32_t input_offset)
{
    int32_t a = sums[0], b = sums[1], c = sums[2], d = sums[3];

    for (int32_t ky = 0; ky < grid->rows; ky++) {
        int32_t from = grid->input_first + ky * grid->input_row + channel;
        int32_t factor = grid->weight_first + ky * grid->weight_row + channel;

        for (int32_t kx = 0; kx < grid->columns; kx++) {
            const int8_t *const x = input + from;
            const int8_t *const w = weights + factor;

            a += (x[0] + input_offset) * w[0];
            b += (x[1] + input_offset) * w[1];
            c += (x[2] + input_offset) * w[2];
            d += (x[3] + input_offset) * w[3];
            from += grid->input_column;
            factor += grid->weight_column;
        }
    }
    sums[0] = a;
    sums[1] = b;
    sums[2] = c;
    sums[3] = d;
}

void depthwise_conv2d_s8(const depthwise_conv2d_s8_params *params, const int8_t *input, const int8_t *weights,
                         const int32_t *bias, const int32_t *multiplier, const int32_t *shift, int8_t *output)
{
    const window_params *const w = &params->window;
    const int32_t channels = w->input_channels;
    const int32_t outputs = channels * params->channel_multiplier;
    const int32_t in_fours = params->channel_multiplier == 1 ? outputs / LANES * LANES : 0;
    tap_grid grid = {
        .input_row = w->dilation_height * w->input_width * channels,
        .input_column = w->dilation_width * channels,
        .weight_row = w->kernel_width * outputs,
        .weight_column = outputs,
    };

    for (int32_t y = 0; y < w->output_height; y++) {
        const int32_t top = y * w->stride_height - w->pad_top;
        const int32_t ky_first = first_tap(top, w->dilation_height);
        const int32_t row = top + ky_first * w->dilation_height;

        grid.rows = end_tap(top, w->dilation_height, w->kernel_height, w->input_height) - ky_first;
        for (int32_t x = 0; x < w->output_width; x++) {
            const int32_t left = x * w->stride_width - w->pad_left;
            const int32_t kx_first = first_tap(left, w->dilation_width);
            const int32_t column = left + kx_first * w->dilation_width;

            grid.columns = end_tap(left, w->dilation_width, w->kernel_width, w->input_width) - kx_first;
            grid.input_first = (row * w->input_width + column) * channels;
            grid.weight_first = (ky_first * w->kernel_width + kx_first) * outputs;

            for (int32_t out = 0; out < in_fours; out += LANES) {
                int32_t sums[LANES] = {bias[out], bias[out + 1], bias[out + 2], bias[out + 3]};

                sum_taps4(sums, &grid, input, weights, out, params->input_offset);
                for (int32_t lane = 0; lane < LANES; lane++) {
                    *output++ = requantize(sums[lane], multiplier[out + lane], shift[out + lane],
                                           params->output_offset, params->act_min, params->act_max);
                }
            }
            for (int32_t out = in_fours; out < outputs; out++) {
                const int32_t channel = out / params->channel_multiplier;
                const int32_t sum = sum_taps(bias[out], &grid, input, weights, channel, out, params->input_offset);

                *output++ = requantize(sum, multiplier[out], shift[out], params->output_offset, params->act_min,
                                       params->act_max);
            }
        }
    }
}
