/*
 * Features of the powers of a frame's frequencies: mel bands, logarithms and, for MFCC, the cosine transform.
 *
 * Two bands overlap over every segment between two corners: a bin's power goes to the one that rises by its weight, and
 * by the rest to the one that falls. So each bin costs one multiplication, and each band one logarithm.
 */
#include "fixed_point.h"
#include "frontend.h"
#include "frontend_arithmetic.h"

#define MEL_BITS 12
#define LOG_BITS 9
#define LOG_TABLE_BITS 14
#define LOG_FLOOR 22
#define LOG_CENTRE 41
#define LOG_MEL_GAIN 6
#define TRANSFORM_BITS 9

/* log2(1 + i / 64) in Q14. */
static const uint16_t fractions[65] = {
    0, 366, 727, 1083, 1433, 1778, 2118, 2453, 2784, 3110, 3432, 3749, 4062, 4371, 4676, 4977,
    5274, 5568, 5858, 6145, 6428, 6707, 6984, 7257, 7527, 7794, 8059, 8320, 8578, 8834, 9086, 9337,
    9584, 9829, 10071, 10311, 10549, 10784, 11017, 11248, 11476, 11702, 11926, 12148, 12368, 12586, 12802, 13016,
    13228, 13438, 13646, 13853, 14057, 14260, 14461, 14661, 14858, 15055, 15249, 15442, 15634, 15823, 16012, 16199,
    16384,
};

/* log2 in Q9, not below LOG_FLOOR. */
static int32_t log2_of(uint64_t energy)
{
    const uint32_t high = (uint32_t)(energy >> 32), low = (uint32_t)energy;
    uint32_t leading; /* 32 bits of the energy, from its highest one down */
    int32_t exponent;

    if (high != 0u) {
        const int32_t zeros = leading_zeros(high);

        leading = high << zeros | low >> 1 >> (31 - zeros);
        exponent = 63 - zeros;
    } else if (low >> LOG_FLOOR != 0u) {
        const int32_t zeros = leading_zeros(low);

        leading = low << zeros;
        exponent = 31 - zeros;
    } else {
        return LOG_FLOOR << LOG_BITS;
    }

    /* Behind the leading one, 6 bits choose the piece of the table and 10 more the point in it. */
    const uint16_t *const piece = fractions + (leading << 1 >> 26);
    const uint32_t rest = leading << 7 >> 22;
    const uint32_t fraction = piece[0] + ((uint32_t)(piece[1] - piece[0]) * rest >> 10);

    return (exponent << LOG_BITS) + (int32_t)(fraction >> (LOG_TABLE_BITS - LOG_BITS));
}

typedef struct {
    const int32_t *bin;
    const int16_t *weight;
    uint64_t rising, falling; /* energies of the last segment */
} segment_sums;

ALWAYS_INLINE void add_segment(segment_sums *sums, int32_t bins)
{
    const int32_t *const end = sums->bin + 2 * bins;
    uint64_t rising = 0, low = 0;
    uint32_t rising_high = 0, high = 0;

    while (sums->bin != end) {
        const uint32_t power_low = (uint32_t)*sums->bin++, power_high = (uint32_t)*sums->bin++;
        const uint32_t weight = (uint32_t)*sums->weight++;

        rising += (uint64_t)power_low * weight;
        rising_high += power_high * weight;
        low += power_low;
        high += power_high;
    }
    sums->rising = rising + ((uint64_t)rising_high << 32);
    sums->falling = ((low + ((uint64_t)high << 32)) << MEL_BITS) - sums->rising;
}

/* The bands' logarithms, less LOG_CENTRE; one more of 0 behind them makes their number even. */
STAGE void logarithms(const frontend_params *params, int16_t *logs)
{
    const uint16_t *segment = params->segments;
    const uint16_t *const last = segment + params->bands;
    segment_sums sums = {params->scratch + 2 * params->first_bin, params->weights, 0, 0};

    add_segment(&sums, *segment);
    while (segment != last) {
        const uint64_t rising = sums.rising;

        add_segment(&sums, *++segment);
        *logs++ = (int16_t)(log2_of(rising + sums.falling) - (LOG_CENTRE << LOG_BITS));
    }
    *logs = 0;
}

void frontend_features(const frontend_params *params, int8_t *row)
{
    int16_t logs[FRONTEND_BANDS + 1];
    const uint32_t *coefficient = params->transform;
    const int16_t *const end = logs + params->bands;

    logarithms(params, logs);
    for (int32_t i = 0; i < params->values; i++) {
        int32_t value;

        if (params->transform == 0) {
            value = (logs[i] * LOG_MEL_GAIN + (1 << (LOG_BITS - 1))) >> LOG_BITS;
        } else {
            value = 1 << (LOG_BITS + TRANSFORM_BITS - 1);
            for (const int16_t *log = logs; log < end; log += 2) {
                value = smlad(load_pair(log), *coefficient++, value);
            }
            value >>= LOG_BITS + TRANSFORM_BITS;
        }
        row[i] = (int8_t)clamp(value, INT8_MIN, INT8_MAX);
    }
}
