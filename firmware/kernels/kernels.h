/*
 * Int8 operations of a network: parameters and prototypes.
 *
 * Tensors are int8 in HWC order (row, column, channel; the channel runs fastest) and hold no header. Nothing
 * here allocates, calls a library or computes in floating point. Every result equals TensorFlow Lite's
 * reference kernel byte for byte.
 *
 * Input and output must not overlap, except that add_s8, mul_s8, lookup_s8 and softmax_s8 may write exactly
 * over an input of the output's shape.
 */
#ifndef KERNELS_H
#define KERNELS_H

#include <stdint.h>

/* How a window slides over an image. Rows and columns of padding exist only in thought: taps outside are left out. */
typedef struct {
    int32_t input_height, input_width, input_channels;
    int32_t output_height, output_width;
    int32_t kernel_height, kernel_width;
    int32_t stride_height, stride_width;
    int32_t dilation_height, dilation_width;
    int32_t pad_top, pad_left;
} window_params;

typedef struct {
    window_params window;
    int32_t output_channels;
    int32_t input_offset;  /* minus the input's zero point */
    int32_t output_offset; /* the output's zero point */
    int32_t act_min, act_max;
} conv2d_s8_params;

typedef struct {
    window_params window;
    int32_t channel_multiplier; /* outputs per input channel */
    int32_t input_offset, output_offset;
    int32_t act_min, act_max;
} depthwise_conv2d_s8_params;

typedef struct {
    int32_t input_size, output_size;
    int32_t input_offset, output_offset;
    int32_t act_min, act_max;
} fully_connected_s8_params;

typedef struct {
    int32_t input_height, input_width, channels;
    int32_t output_height, output_width;
} upsample_nearest_s8_params;

typedef struct {
    int32_t height, width, channels;
} tensor_shape;

/*
 * An input of less height or width than the output is read by nearest neighbours: output row y takes input row
 * y * height / output height (rounded down), columns likewise; so an extent of 1 repeats. A single channel repeats
 * too. Axes that no input is resized along may be given as one longer one.
 */
typedef struct {
    tensor_shape output, input1, input2;
    int32_t left_shift; /* the other shifts are to the right: 0 or negative */
    int32_t input1_offset, input1_multiplier, input1_shift;
    int32_t input2_offset, input2_multiplier, input2_shift;
    int32_t output_offset, output_multiplier, output_shift;
    int32_t act_min, act_max;
} add_s8_params;

typedef struct {
    tensor_shape output, input1, input2; /* as in add_s8_params */
    int32_t input1_offset, input2_offset, output_offset;
    int32_t multiplier, shift;
    int32_t act_min, act_max;
} mul_s8_params;

typedef struct {
    int32_t rows, channels; /* positions, and values over which each sums to one */
    int32_t input_multiplier, input_left_shift;
    int32_t diff_min; /* values further below their row's greatest than this count as zero */
} softmax_s8_params;

/* Weights (filters, kernel height, kernel width, input channels); bias, multiplier and shift per filter. */
void conv2d_s8(const conv2d_s8_params *params, const int8_t *input, const int8_t *weights, const int32_t *bias,
               const int32_t *multiplier, const int32_t *shift, int8_t *output);

/* Weights (kernel height, kernel width, output channels); bias, multiplier and shift per output channel. */
void depthwise_conv2d_s8(const depthwise_conv2d_s8_params *params, const int8_t *input, const int8_t *weights,
                         const int32_t *bias, const int32_t *multiplier, const int32_t *shift, int8_t *output);

/* Weights (units, inputs); bias, multiplier and shift per unit. */
void fully_connected_s8(const fully_connected_s8_params *params, const int8_t *input, const int8_t *weights,
                        const int32_t *bias, const int32_t *multiplier, const int32_t *shift, int8_t *output);

void max_pool_s8(const window_params *params, const int8_t *input, int8_t *output);

void avg_pool_s8(const window_params *params, const int8_t *input, int8_t *output);

void upsample_nearest_s8(const upsample_nearest_s8_params *params, const int8_t *input, int8_t *output);

void add_s8(const add_s8_params *params, const int8_t *input1, const int8_t *input2, int8_t *output);

void mul_s8(const mul_s8_params *params, const int8_t *input1, const int8_t *input2, int8_t *output);

/* Table of 256 results, that of -128 first. */
void lookup_s8(const int8_t *table, int32_t size, const int8_t *input, int8_t *output);

void softmax_s8(const softmax_s8_params *params, const int8_t *input, int8_t *output);

/*
 * The taps of a window that meet an axis of length `size`: those k in [first_tap, end_tap) for which origin +
 * k * dilation lies in 0..size-1. The range may be empty.
 */
static inline int32_t first_tap(int32_t origin, int32_t dilation)
{
    return origin < 0 ? (dilation - 1 - origin) / dilation : 0;
}

static inline int32_t end_tap(int32_t origin, int32_t dilation, int32_t kernel, int32_t size)
{
    const int32_t end = origin < size ? (size - origin + dilation - 1) / dilation : 0;

    return end < kernel ? end : kernel;
}

/*
 * Whether the next of `to` positions takes another of `from` elements (no more than positions) than the one before it.
 * Position i takes element i * from / to, rounded down. `rest` is what that division leaves: 0 at position 0, kept up
 * to date here, so that nothing is divided.
 */
static inline int32_t moves_on(int32_t *rest, int32_t from, int32_t to)
{
    *rest += from;
    if (*rest < to) {
        return 0;
    }
    *rest -= to;
    return 1;
}

#endif
