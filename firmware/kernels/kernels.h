/*
 * Int8 operations of a network: parameters and prototypes.
 *
 * Tensors are int8 in HWC order (row, column, channel; the channel runs fastest) and hold no header. Nothing
 * here allocates, calls a library or computes in floating point. Every result equals TensorFlow Lite's
 * reference kernel byte for byte.
 *
 * Input and output must not overlap, except that
 * - add_s8, mul_s8, lookup_s8, softmax_s8 and, with one output per channel and stride 1, the depthwise convolutions may
 *   write exactly over an input of the output's shape;
 * - conv2d_s8, pointwise_s8, pointwise_s4, max_pool_s8, avg_pool_s8 and upsample_nearest_s8 make output pixels in the order
 *   of memory, one or several in a row, or some channels of one, and read all that these need before they write any of it.
 *   So the output may start below the input and run into what has been read: estimators/overlap.py says how far below.
 */
#ifndef KERNELS_H
#define KERNELS_H

#include "requantize.h"

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
    int32_t padding; /* the input's zero point */
    requantization requantization;
} conv2d_s8_params;

typedef struct {
    int32_t input_channels, output_channels;
    requantization requantization;
} pointwise_s8_params;

typedef pointwise_s8_params pointwise_s4_params;

/*
 * Sizes and steps of a depthwise convolution along two axes: `down` is the image's height and `across` its width, or
 * the other way round. Steps of input and output are in bytes. depthwise_planes.h says what strips are; members about
 * them come from estimators/depthwise.py. A column's first strip lies step_even or step_odd after that of the column
 * before it; for a stride across of 1 the second of two columns begins with the second pixel of its strip.
 */
typedef struct {
    int32_t channels, channel_multiplier; /* outputs per input channel */
    int32_t size_down, size_across;       /* of the input */
    int32_t input_down, input_across, output_down, output_across;
    int32_t rows, columns; /* of the output, along down and across */
    int32_t kernel_down, kernel_across;
    int32_t stride_down, dilation_down, pad_down;
    int32_t held_across; /* element x of the input along across lies at place x % held_across */
    int32_t pairs; /* words that the taps of a kernel row take */
    int32_t groups, group_strips, group_step, strip_step, pair_step;
    int32_t odd, step_even, step_odd; /* odd: whether every second column begins with a strip's second pixel */
    int32_t strip_rows, band_rows, kept_rows;
    int32_t table_words;
    int32_t padding; /* the input's zero point */
    requantization requantization;
} depthwise_conv2d_s8_params;

typedef depthwise_conv2d_s8_params depthwise3_s8_params;

typedef struct {
    int32_t pixels, channels, channel_multiplier;
    requantization requantization;
} channelwise_s8_params;

typedef struct {
    int32_t input_size, output_size;
    requantization requantization;
} fully_connected_s8_params;

typedef fully_connected_s8_params fully_connected_s4_params;

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
} operand_shapes;

#define ADD_GENERAL 0
#define ADD_LINEAR 1

/*
 * add_run_s8.c says what the members mean; ADD_LINEAR reads the first line alone, ADD_GENERAL the others. A multiplier
 * of 0 comes with a shift of -31.
 */
typedef struct {
    int32_t kind, factor1, factor2, constant;
    int32_t input1_offset, input1_multiplier, input1_shift; /* shifts are to the right: 0 or negative */
    int32_t input2_offset, input2_multiplier, input2_shift;
    int32_t output_offset, output_multiplier, output_shift;
    int32_t act_min, act_max;
} add_run_s8_params;

typedef struct {
    operand_shapes shapes;
    add_run_s8_params run;
} add_s8_params;

/*
 * fast: the shift is one to the right by 1..22, the activation range is all of int8, and rounding is half of the last
 * place that it shifts out, plus the output's zero point shifted to the left. Otherwise rounding is not read.
 */
typedef struct {
    int32_t fast;
    int32_t input1_offset, input2_offset;
    int32_t multiplier, shift, rounding;
    int32_t output_offset;
    int32_t act_min, act_max;
} mul_run_s8_params;

typedef struct {
    operand_shapes shapes;
    mul_run_s8_params run;
} mul_s8_params;

typedef struct {
    int32_t rows, channels; /* positions, and values over which each sums to one */
    int32_t input_multiplier, input_left_shift;
    int32_t diff_min; /* values further below their row's greatest than this count as zero */
} softmax_s8_params;

/*
 * Rows `first_row` to `end_row` - 1 of the output, written from `output` on. `filters` is a stream of firmware/packing.py
 * (as in the next two), for patches in the order kernel row, kernel column, channel.
 *
 * Row y of the input lies at row y % input_rows of `input`: input_rows is the input's height, or less if only as many rows
 * are there as these output rows still need.
 *
 * Output positions are computed in the order of memory, four at a time (the last ones may be fewer): all that four need
 * of the input is read before the first of their bytes is written. So the output may share bytes with the input as long
 * as no position's outputs reach what a later position still reads. Scratch: 9 bytes for each value of a patch, their
 * number rounded up to a multiple of 4.
 */
void conv2d_s8(const conv2d_s8_params *params, const int8_t *input, const int32_t *filters, int32_t *scratch,
               int32_t input_rows, int32_t first_row, int32_t end_row, int8_t *output);

/*
 * A convolution with a kernel of one pixel and stride 1 over `pixels` positions. It reads and writes in the order that
 * conv2d_s8 does. Scratch: 8 bytes for each channel, their number rounded up to a multiple of 4.
 */
void pointwise_s8(const pointwise_s8_params *params, const int8_t *input, const int32_t *filters, int32_t *scratch,
                  int32_t pixels, int8_t *output);

/* The same for weights of 4 bits. */
void pointwise_s4(const pointwise_s4_params *params, const int8_t *input, const int32_t *filters, int32_t *scratch,
                  int32_t pixels, int8_t *output);

/*
 * Weights (output channels, kernel down, kernel across), bias with the zero point folded in and requantisation per output
 * channel. The output may lie exactly over an input of its own shape. The window of the first output along across begins
 * at `origin`: less than 0 where it begins with padding.
 */
void depthwise_conv2d_s8(const depthwise_conv2d_s8_params *params, const int8_t *input, const int8_t *weights,
                         const int32_t *bias, const requant_s8 *requant, int32_t *scratch, int32_t origin,
                         int8_t *output);

/* The same for kernels of 3x3, strides and dilations of 1. */
void depthwise3_s8(const depthwise3_s8_params *params, const int8_t *input, const int8_t *weights, const int32_t *bias,
                   const requant_s8 *requant, int32_t *scratch, int32_t origin, int8_t *output);

/* A depthwise convolution with a kernel of one pixel and stride 1; may write over an input of the output's shape. */
void channelwise_s8(const channelwise_s8_params *params, const int8_t *input, const int8_t *weights,
                    const int32_t *bias, const requant_s8 *requant, int8_t *output);

void fully_connected_s8(const fully_connected_s8_params *params, const int8_t *input, const int32_t *filters,
                        int8_t *output);

/* The same for weights of 4 bits. */
void fully_connected_s4(const fully_connected_s4_params *params, const int8_t *input, const int32_t *filters,
                        int8_t *output);

/*
 * The next three write output positions in the order of memory, and at each the channels, every value after all that its
 * own channel needs was read: nothing of earlier channels, or of positions that no later window reads, is read again.
 */
void max_pool_s8(const window_params *params, const int8_t *input, int8_t *output);

void avg_pool_s8(const window_params *params, const int8_t *input, int8_t *output);

void upsample_nearest_s8(const upsample_nearest_s8_params *params, const int8_t *input, int8_t *output);

void add_s8(const add_s8_params *params, const int8_t *input1, const int8_t *input2, int8_t *output);

/* Operands of equal shape: `count` values of each, such as a band of rows. */
void add_run_s8(const add_run_s8_params *params, int32_t count, const int8_t *a, const int8_t *b, int8_t *out);

/* The same; an operand whose step is 0 rather than 1 is one value that repeats. At most one of the two is. */
void add_stepped_s8(const add_run_s8_params *params, int32_t count, const int8_t *a, int32_t step1, const int8_t *b,
                    int32_t step2, int8_t *out);

void mul_s8(const mul_s8_params *params, const int8_t *input1, const int8_t *input2, int8_t *output);

/* As add_stepped_s8. */
void mul_stepped_s8(const mul_run_s8_params *params, int32_t count, const int8_t *a, int32_t step1, const int8_t *b,
                    int32_t step2, int8_t *out);

/* Table of 256 results, that of -128 first. */
void lookup_s8(const int8_t *table, int32_t size, const int8_t *input, int8_t *output);

void softmax_s8(const softmax_s8_params *params, const int8_t *input, int8_t *output);

/* Where row or column `place` of a tensor lies that keeps only `count` of them at a time: in a ring. */
static inline int32_t in_ring(int32_t place, int32_t count)
{
    /* Mostly the tensor is whole; some cores divide by many instructions. */
    return place < count ? place : place % count;
}

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

/* The taps of a pooling window inside the image, as two loops, with the steps in bytes from tap to tap. */
typedef struct {
    int32_t outer, inner;
    int32_t inner_step, outer_step;
} pool_taps;

/*
 * The taps of `rows` rows and `columns` columns that lie row_step and step bytes apart, the longer loop inside. Rows as
 * wide as the image follow one another without a gap and are one.
 */
static inline pool_taps taps_inside(int32_t rows, int32_t columns, int32_t step, int32_t row_step)
{
    const pool_taps one_row = {1, rows * columns, step, 0};
    const pool_taps by_rows = {rows, columns, step, row_step};
    const pool_taps by_columns = {columns, rows, row_step, step};

    return columns * step == row_step ? one_row : rows > columns ? by_columns : by_rows;
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
