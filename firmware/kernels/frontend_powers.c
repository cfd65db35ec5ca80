/*
 * The powers of a frame's frequencies: window, real FFT in fixed point, squared magnitudes.
 *
 * Pairs of samples are the complex values of an FFT of half as many points, in place, decimation in time. Its first
 * pass reads the samples, multiplies them by the window, has no twiddles, and leaves out what lies behind the window.
 * Every further pass combines four neighbouring transforms into one: a complex value by a turn costs four products
 * with 16-bit halves, whose scaling by 2^16 also divides by four, so that nothing overflows. Then value k and value
 * half - k together give bins k and half - k of the real signal, and their powers take the place of those values.
 *
 * Complex values are two words, real part first.
 */
#include "fixed_point.h"
#include "frontend.h"
#include "frontend_arithmetic.h"

#define POWER_SHIFT 8

typedef struct {
    int32_t re, im;
} complex32;

/* A pair of samples times a pair of the window, divided by 2^shift. */
ALWAYS_INLINE complex32 windowed(const int16_t *samples, uint32_t taper, int32_t shift)
{
    const uint32_t pair = load_pair(samples);
    const complex32 z = {smulbb(pair, taper) >> shift, smultt(pair, taper) >> shift};

    return z;
}

/* z times a turn in Q14, divided by four. */
ALWAYS_INLINE complex32 turned(const int32_t *z, uint32_t turn)
{
    const int32_t re = z[0], im = z[1];
    const complex32 result = {smulwb(re, turn) - smulwt(im, turn), smlawb(im, turn, smulwt(re, turn))};

    return result;
}

ALWAYS_INLINE complex32 quarter_of(const int32_t *z)
{
    const complex32 result = {z[0] >> 2, z[1] >> 2};

    return result;
}

typedef struct {
    complex32 sum, difference;
} crossed;

ALWAYS_INLINE crossed cross(complex32 x, complex32 y)
{
    const crossed result = {{x.re + y.re, x.im + y.im}, {x.re - y.re, x.im - y.im}};

    return result;
}

/*
 * Butterflies `m` to `end` of a first pass of radix 4: each takes the pairs of samples m, m + half / 4 and so on, of
 * which the first `inputs` lie inside the window. Returns where the window goes on.
 */
ALWAYS_INLINE const uint32_t *first_by_4(const frontend_params *params, const int16_t *samples, const uint32_t *taper,
                                         int32_t m, int32_t end, int32_t inputs)
{
    const int32_t apart = params->half / 2;
    const int16_t *const stop = samples + 2 * end;
    const uint8_t *place = params->places + m;
    int32_t *const z = params->scratch;
    const complex32 zero = {0, 0};

    for (samples += 2 * m; samples != stop; samples += 2) {
        const complex32 a = windowed(samples, taper[0], 2);
        const complex32 b = windowed(samples + apart, taper[1], 2);
        const complex32 c = inputs > 2 ? windowed(samples + 2 * apart, taper[2], 2) : zero;
        const complex32 d = inputs > 3 ? windowed(samples + 3 * apart, taper[3], 2) : zero;
        const crossed first = cross(a, c), second = cross(b, d);
        int32_t *to = z + 8 * *place++;

        taper += inputs;
        to = put(to, first.sum.re + second.sum.re, first.sum.im + second.sum.im);
        to = put(to, first.difference.re + second.difference.im, first.difference.im - second.difference.re);
        to = put(to, first.sum.re - second.sum.re, first.sum.im - second.sum.im);
        (void)put(to, first.difference.re - second.difference.im, first.difference.im + second.difference.re);
    }
    return taper;
}

/* The same for a first pass of radix 2, whose butterflies take the pairs m and m + half / 2. */
ALWAYS_INLINE const uint32_t *first_by_2(const frontend_params *params, const int16_t *samples, const uint32_t *taper,
                                         int32_t m, int32_t end, int32_t inputs)
{
    const int16_t *const stop = samples + 2 * end;
    const uint8_t *place = params->places + m;
    int32_t *const z = params->scratch;
    const complex32 zero = {0, 0};

    for (samples += 2 * m; samples != stop; samples += 2) {
        const complex32 a = inputs > 0 ? windowed(samples, taper[0], 1) : zero;
        const complex32 b = inputs > 1 ? windowed(samples + params->half, taper[1], 1) : zero;
        int32_t *to = z + 4 * *place++;

        taper += inputs;
        to = put(to, a.re + b.re, a.im + b.im);
        (void)put(to, a.re - b.re, a.im - b.im);
    }
    return taper;
}

/* Some butterflies of the first pass, by a loop for each number of inputs: a window fills more than half the FFT. */
STAGE const uint32_t *first_butterflies(const frontend_params *params, const int16_t *samples, const uint32_t *taper,
                                        int32_t radix, int32_t m, int32_t end, int32_t inputs)
{
    if (radix == 4) {
        switch (inputs) {
        case 4:
            return first_by_4(params, samples, taper, m, end, 4);
        case 3:
            return first_by_4(params, samples, taper, m, end, 3);
        default:
            return first_by_4(params, samples, taper, m, end, 2);
        }
    }
    switch (inputs) {
    case 2:
        return first_by_2(params, samples, taper, m, end, 2);
    case 1:
        return first_by_2(params, samples, taper, m, end, 1);
    default: /* in the smallest FFT alone, which takes windows of any size */
        return first_by_2(params, samples, taper, m, end, 0);
    }
}

static void first_pass(const frontend_params *params, const int16_t *samples, int32_t radix)
{
    const int32_t butterflies = params->half / radix, pairs = params->window / 2;
    const int32_t inputs = pairs / butterflies, more = pairs % butterflies;
    const uint32_t *const taper = first_butterflies(params, samples, params->taper, radix, 0, more, inputs + 1);

    (void)first_butterflies(params, samples, taper, radix, more, butterflies, inputs);
}

/* Stores the four results of a butterfly and moves on; `second` is made of the inputs b and d, `c` is the third one. */
ALWAYS_INLINE void butterfly(int32_t **p, crossed second, complex32 c)
{
    const crossed first = cross(quarter_of(p[0]), c);

    p[0] = put(p[0], first.sum.re + second.sum.re, first.sum.im + second.sum.im);
    p[1] = put(p[1], first.difference.re + second.difference.im, first.difference.im - second.difference.re);
    p[2] = put(p[2], first.sum.re - second.sum.re, first.sum.im - second.sum.im);
    p[3] = put(p[3], first.difference.re - second.difference.im, first.difference.im + second.difference.re);
}

/* Combines transforms of `quarter` values, four at a time, into one of four times their size. */
STAGE void combine(const frontend_params *params, int32_t quarter)
{
    const int32_t blocks = params->half / 4 / quarter, step = 3 * blocks;
    const uint32_t *const first = params->twiddles + step, *const stop = params->twiddles + 3 * (params->half / 4);
    int32_t *p[4] = {params->scratch, 0, 0, 0};

    for (int32_t block = 0; block < blocks; block++) {
        for (int32_t i = 1; i < 4; i++) {
            p[i] = p[i - 1] + 2 * quarter;
        }
        /* Turned by nothing, a value is exactly its quarter. */
        butterfly(p, cross(quarter_of(p[1]), quarter_of(p[3])), quarter_of(p[2]));
        for (const uint32_t *turn = first; turn < stop; turn += step) {
            const crossed second = cross(turned(p[1], turn[0]), turned(p[3], turn[2]));

            butterfly(p, second, turned(p[2], turn[1]));
        }
        p[0] = p[3];
    }
}

ALWAYS_INLINE void put_power(int32_t *bin, int32_t re, int32_t im)
{
    const uint64_t power = ((uint64_t)((int64_t)re * re) + (uint64_t)((int64_t)im * im)) >> POWER_SHIFT;

    bin[0] = (int32_t)(uint32_t)power;
    bin[1] = (int32_t)(uint32_t)(power >> 32);
}

/* Splits the transform of pairs into that of the real signal and squares it, from both ends to the middle. */
STAGE void split(const frontend_params *params)
{
    int32_t *const z = params->scratch;
    const uint32_t *turns = params->split;
    int32_t *low = z + 2 * params->split_bin, *high = z + 2 * (params->half - params->split_bin);

    for (; low <= high; low += 2, high -= 2) {
        const uint32_t turn = *turns++;
        const int32_t a_re = low[0], a_im = low[1], b_re = high[0], b_im = high[1];
        const int32_t even_re = (a_re >> 2) + (b_re >> 2), even_im = (a_im >> 2) - (b_im >> 2);
        const int32_t odd_re = (a_im >> 1) + (b_im >> 1), odd_im = (b_re >> 1) - (a_re >> 1);
        const int32_t im = smlawb(odd_im, turn, smulwt(odd_re, turn));

        /* Bin half - k: the even part conjugated, the odd part's turn with the cosine's sign changed. */
        put_power(high, smlawb(-odd_re, turn, even_re) - smulwt(-odd_im, turn), im - even_im);
        put_power(low, smlawb(odd_re, turn, even_re) - smulwt(odd_im, turn), im + even_im);
    }
}

void frontend_powers(const frontend_params *params, const int16_t *samples)
{
    const int32_t by_4 = params->half == 256 || params->half == 1024;

    first_pass(params, samples, by_4 ? 4 : 2);
    for (int32_t quarter = by_4 ? 4 : 2; quarter < params->half; quarter *= 4) {
        combine(params, quarter);
    }
    split(params);
}
