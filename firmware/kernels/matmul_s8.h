/*
 * Four pixels times all filters, requantised: the inner part of every convolution over all channels.
 *
 * A pixel is a row of `4 * steps` inputs: the channels of a position, or a patch of the image. Four of them lie side by
 * side in scratch, expanded to two bytes for each value, in an order that is up to the implementation.
 *
 * The filters are a stream of words that firmware/packing.py writes: groups of two, and one that may be left over. Of
 * each group come the biases, the weights, and a requant_s8 for each filter. There are two implementations, with
 * streams of their own: matmul_s8.c for the Cortex-M's DSP extension, matmul_scalar.c for other cores. matmul_s4.c and
 * matmul_s4_scalar.c are theirs for weights of 4 bits, of which two share a byte; matmul_common.c and
 * matmul_common_scalar.c expand for both.
 */
#ifndef MATMUL_S8_H
#define MATMUL_S8_H

#include "requantize.h"

#define MATMUL_PIXELS 4
#define MATMUL_STEP 4

/* Words of four expanded pixels of `inputs` values each. */
#define MATMUL_WORDS(inputs) (((inputs) + MATMUL_STEP - 1) / MATMUL_STEP * 2 * MATMUL_PIXELS)

/* The assembly knows the members by their order. */
typedef struct {
    int32_t steps;
    int32_t filters;
    int32_t offsets[MATMUL_PIXELS - 1]; /* from the first pixel's outputs to those of the others, in bytes */
    const requantization *layer;
} matmul_s8_params;

/*
 * Outputs of the filters side by side, for pixels at `output` and at the offsets from there. All expanded pixels are
 * read before anything is written; where pixels are equal, so may be their offsets. `expanded` on a word boundary.
 */
void matmul_s8(const matmul_s8_params *params, const uint32_t *expanded, const int32_t *filters, int8_t *output);

/* The same with weights of 4 bits, but of a filter left over, which has 8. */
void matmul_s4(const matmul_s8_params *params, const uint32_t *expanded, const int32_t *filters, int8_t *output);

/* Four pixels of `inputs` values each, wherever they lie, expanded; reads nothing beyond them. */
void expand_s8(uint32_t *expanded, const int8_t *const *pixels, int32_t inputs);

/* One of them, the pixel `index` of the four, into its places among their words; they come in their order. */
void expand_pixel_s8(uint32_t *expanded, int32_t index, const int8_t *pixel, int32_t inputs);

/* Four pixels of nothing but `value`, or one of them; `inputs` a multiple of MATMUL_STEP. */
void pad_s8(uint32_t *expanded, int32_t value, int32_t inputs);
void pad_pixel_s8(uint32_t *expanded, int32_t index, int32_t value, int32_t inputs);

/* Offsets for `count` pixels in a row, 1 to 4: those beyond the last get its place. */
static inline void place_pixels(matmul_s8_params *params, int32_t count)
{
    int32_t offset = 0;

    for (int32_t i = 1; i < MATMUL_PIXELS; i++) {
        offset += i < count ? params->filters : 0;
        params->offsets[i - 1] = offset;
    }
}

#endif
