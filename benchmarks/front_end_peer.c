/*
 * A fixed-point MFCC front end as textbooks have it, to compare with: a complex FFT of radix 2 over all points, the
 * imaginary parts zero, bits reversed first; 32-bit data, twiddles in Q15, halved in every stage; each mel band summed
 * by itself over its triangle; log2 by shifting and squaring; the cosine transform row by row.
 */
#include "peer.h"

static int32_t re[PEER_POINTS], im[PEER_POINTS];
static uint64_t power[PEER_POINTS / 2 + 1];
static int32_t logs[PEER_BANDS];

static int32_t times(int32_t x, int16_t factor)
{
    return (int32_t)(((int64_t)x * factor) >> 15);
}

static void transform(void)
{
    for (int32_t i = 1, j = 0; i < PEER_POINTS; i++) {
        int32_t bit = PEER_POINTS >> 1;

        for (; (j & bit) != 0; bit >>= 1) {
            j ^= bit;
        }
        j ^= bit;
        if (i < j) {
            const int32_t keep = re[i];

            re[i] = re[j];
            re[j] = keep;
        }
    }
    for (int32_t half = 1; half < PEER_POINTS; half *= 2) {
        for (int32_t k = 0; k < half; k++) {
            const int16_t c = peer_cos[k * (PEER_POINTS / 2 / half)], s = peer_sin[k * (PEER_POINTS / 2 / half)];

            for (int32_t i = k; i < PEER_POINTS; i += 2 * half) {
                const int32_t j = i + half;
                const int32_t x = times(re[j], c) - times(im[j], s), y = times(re[j], s) + times(im[j], c);

                re[j] = (re[i] >> 1) - (x >> 1);
                im[j] = (im[i] >> 1) - (y >> 1);
                re[i] = (re[i] >> 1) + (x >> 1);
                im[i] = (im[i] >> 1) + (y >> 1);
            }
        }
    }
}

/* log2 in Q9: the exponent, then one bit of the fraction for every squaring. */
static int32_t log2_of(uint64_t x)
{
    int32_t exponent = 0, fraction = 0;
    uint64_t mantissa;

    while (x >> exponent > 1u) {
        exponent++;
    }
    mantissa = exponent >= 16 ? x >> (exponent - 16) : x << (16 - exponent);
    for (int32_t bit = 1 << 8; bit > 0; bit >>= 1) {
        mantissa = mantissa * mantissa >> 16;
        if (mantissa >> 17 != 0u) {
            mantissa >>= 1;
            fraction |= bit;
        }
    }
    return (exponent << 9) + fraction;
}

void peer_frame(const int16_t *samples, int8_t *row)
{
    const int16_t *weight = peer_weights;
    const int16_t *coefficient = peer_transform;

    for (int32_t i = 0; i < PEER_POINTS; i++) {
        re[i] = i < PEER_WINDOW ? samples[i] * peer_window[i] : 0;
        im[i] = 0;
    }
    transform();
    for (int32_t k = 0; k <= PEER_POINTS / 2; k++) {
        power[k] = ((uint64_t)((int64_t)re[k] * re[k]) + (uint64_t)((int64_t)im[k] * im[k])) >> 8;
    }
    for (int32_t band = 0; band < PEER_BANDS; band++) {
        uint64_t energy = 1;

        for (int32_t k = peer_first[band]; k < peer_first[band] + peer_count[band]; k++) {
            energy += power[k] * (uint64_t)*weight++;
        }
        logs[band] = log2_of(energy) - (41 << 9);
    }
    for (int32_t i = 0; i < PEER_VALUES; i++) {
        int32_t sum = 1 << 17;

        for (int32_t band = 0; band < PEER_BANDS; band++) {
            sum += logs[band] * *coefficient++;
        }
        sum >>= 18;
        row[i] = (int8_t)(sum < -128 ? -128 : sum > 127 ? 127 : sum);
    }
}
