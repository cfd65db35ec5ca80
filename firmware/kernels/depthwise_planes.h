/*
 * What the depthwise kernels share: channels copied out of the image into planes in scratch.
 *
 * A plane holds one channel as pairs of pixels that two neighbouring taps of a kernel row meet, the first pixel in the
 * low half of a word, the second in the high half. The words of two columns of pixels make a strip, one below the
 * other, so that the outputs of a column read on in memory. Padding is written out as the input's zero point. Along the
 * strips is called down, the other axis across; which of them is the image's height is up to the parameters.
 *
 * Row r of the padded image is word r / stride_down of part r % stride_down of a strip; each part has strip_rows words.
 * So tap ky of the outputs below each other is found in words below each other whatever the stride and dilation.
 */
#ifndef DEPTHWISE_PLANES_H
#define DEPTHWISE_PLANES_H

#include "kernels.h"

/* Before a short loop, which clang would unroll into more code than it is worth. */
#if defined(__clang__)
#define ROLLED _Pragma("clang loop unroll(disable)")
#else
#define ROLLED
#endif

/* Two weights of a kernel row, and where the words that they meet lie in a plane. */
typedef struct {
    int32_t offset; /* bytes */
    uint32_t weights;
} tap_pair;

/* One output channel of one band of rows. */
typedef struct {
    const int32_t *words;  /* the first strip */
    const int8_t *weights; /* kernel_down * kernel_across of them */
    const requant_s8 *requant;
    int32_t *table; /* scratch of table_words words, kept between calls */
    int32_t bias;
    int32_t rows; /* 1 to band_rows */
    int8_t *output;
} depthwise_plane;

typedef void depthwise_plane_function(const depthwise_conv2d_s8_params *params, const depthwise_plane *plane);

/* Calls `function` for each band of each output channel. Scratch begins with the table, planes follow. */
void depthwise_over_planes(const depthwise_conv2d_s8_params *params, const int8_t *input, const int8_t *weights,
                           const int32_t *bias, const requant_s8 *requant, int32_t *scratch, int32_t origin,
                           int8_t *output, depthwise_plane_function *function);

/*
 * Copies the image, across from `origin` on, into the words before `end` of every part of every strip, but for those
 * that a band below the first one keeps; padding left out. `top` words of each part lie above the strips: as many as
 * the band's first output row.
 */
void depthwise_fill_strips(const depthwise_conv2d_s8_params *p, const int8_t *input, int32_t lanes, int32_t *planes,
                           int32_t origin, int32_t top, int32_t end);

/*
 * The offsets of all tap pairs in a table of table_words words, all weights 0. A table of columns that begin with the
 * second pixel of a strip follows where there are such. Each is filled up with pairs of no effect.
 */
void depthwise_offsets(const depthwise_conv2d_s8_params *p, tap_pair *table);

#endif
