/*
 * A layer's sums back to int8, per output channel, in the fewest exact instructions.
 *
 * REQUANTIZE_GENERAL reads a requant_s8 as multiplier and shift of multiply_by_quantized_multiplier. The other two
 * need an activation range that saturation gives for nothing and a shift to the right; their multiplier is
 * 2 * m - 2^32, so that one SMMLAR yields acc * m / 2^31 rounded, and their rounding holds half of the last place and
 * the zero point. REQUANTIZE_RECTIFIED leaves out what rounds negative ties away from zero: with a ReLU negative
 * results become the zero point either way.
 */
#ifndef REQUANTIZE_H
#define REQUANTIZE_H

#include "dsp.h"
#include "fixed_point.h"

#define REQUANTIZE_GENERAL 0
#define REQUANTIZE_SATURATING 1
#define REQUANTIZE_RECTIFIED 2

typedef struct {
    int32_t multiplier, rounding, shift;
} requant_s8;

/* What all channels of a layer share; only REQUANTIZE_GENERAL reads more than the kind. */
typedef struct {
    int32_t kind;
    int32_t output_offset; /* the output's zero point */
    int32_t act_min, act_max;
} requantization;

static inline int8_t requantize_rectified(int32_t acc, const requant_s8 *channel)
{
    return (int8_t)ssat8((smmlar(acc, channel->multiplier, acc) + channel->rounding) >> channel->shift);
}

static inline int8_t requantize_saturating(int32_t acc, const requant_s8 *channel)
{
    const int32_t y = smmlar(acc, channel->multiplier, acc);

    return (int8_t)ssat8((y + (y >> 31) + channel->rounding) >> channel->shift);
}

static inline int8_t requantize_general(int32_t acc, const requant_s8 *channel, const requantization *layer)
{
    return requantize(acc, channel->multiplier, channel->shift, layer->output_offset, layer->act_min, layer->act_max);
}

static inline int8_t requantize_as(int32_t acc, const requant_s8 *channel, const requantization *layer)
{
    if (layer->kind == REQUANTIZE_RECTIFIED) {
        return requantize_rectified(acc, channel);
    }
    if (layer->kind == REQUANTIZE_SATURATING) {
        return requantize_saturating(acc, channel);
    }
    return requantize_general(acc, channel, layer);
}

#endif
