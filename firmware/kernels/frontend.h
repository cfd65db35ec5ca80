/*
 * The audio front end: 16-bit samples become the int8 features that a network reads.
 *
 * A frame of samples is windowed, transformed to the powers of its frequencies, summed in mel bands, turned into
 * logarithms and, for MFCC, into cepstral coefficients. Nothing here allocates, calls a library or computes in
 * floating point. Every feature equals the specification, which is written in Python, byte for byte.
 */
#ifndef FRONTEND_H
#define FRONTEND_H

#include <stdint.h>

/* Greatest number of mel bands. */
#define FRONTEND_BANDS 60

/*
 * One front end: its constants, and the memory it works in. Qn is an integer divided by 2^n. A pair is two 16-bit
 * integers in one word: the first in the low half, the second in the high one; a turn is the pair of cosine and sine
 * that a complex value is multiplied by.
 */
typedef struct {
    int32_t window, hop; /* samples of a frame, an even number, and from one frame's first to the next one's */
    int32_t frames;      /* of a clip */
    int32_t values;      /* features of a frame */
    int32_t half;        /* complex values of the FFT, half its points: 128, 256, 512 or 1024 */
    int32_t bands;
    int32_t first_bin; /* the bin that the first of `weights` belongs to, 1 at least */
    int32_t split_bin; /* the bin that the first of `split` belongs to, 1 at least */

    const uint32_t *taper;     /* window / 2 pairs, Q15, in the order in which the first pass reads samples */
    const uint8_t *places;     /* where each butterfly of the first pass goes: its digits to base 4, reversed */
    const uint32_t *twiddles;  /* 3 turns, Q14, for every k below half / 4: by k, 2 k and 3 k of `half` */
    const uint32_t *split;     /* turns, Q15, of the bins from `split_bin` to half / 2 */
    const uint16_t *segments;  /* bands + 1 numbers of bins, from one corner of a band to the next */
    const int16_t *weights;    /* Q12, of each bin in the band that rises over its segment */
    const uint32_t *transform; /* values x (bands + 1) / 2 pairs, Q9; a null pointer where features are log-mel */

    int32_t *scratch; /* 2 x half words, of no interest between two calls */
    int16_t *samples; /* `window` of them, and a ring of frames x values features: only for frontend_push and */
    int8_t *rows;     /* frontend_load */
} frontend_params;

/* What was heard so far. All zero is the beginning. */
typedef struct {
    int32_t filled; /* samples that are there of the next frame */
    int32_t next;   /* row of the ring that is written next */
    int32_t heard;  /* rows that are there */
} frontend_stream;

/* One frame of params->window samples: params->values features. */
void frontend_frame(const frontend_params *params, const int16_t *samples, int8_t *row);

/* A clip of (params->frames - 1) x params->hop + params->window samples: the rows of its frames, the first one first. */
void frontend_clip(const frontend_params *params, const int16_t *clip, int8_t *rows);

/* Takes in `count` samples. Returns how many rows they completed: at most one when there are no more than `hop`. */
int32_t frontend_push(const frontend_params *params, frontend_stream *stream, const int16_t *samples, int32_t count);

/* Copies the newest rows, the oldest of them first, and returns 1; or returns 0 while they are fewer than a clip's. */
int32_t frontend_load(const frontend_params *params, const frontend_stream *stream, int8_t *rows);

/* The two halves of frontend_frame. Powers are 64 bits, the low word first, of each bin from 0 up, in `scratch`. */
void frontend_powers(const frontend_params *params, const int16_t *samples);
void frontend_features(const frontend_params *params, int8_t *row);

#endif
