/*
 * Single instructions of the Cortex-M4's DSP extension that C has no words for.
 */
#ifndef DSP_H
#define DSP_H

#include <stdint.h>

#if defined(__ARM_FEATURE_DSP)

/* sum + low half * low half + high half * high half. */
static inline int32_t smlad(uint32_t a, uint32_t b, int32_t sum)
{
    int32_t result;

    __asm__("smlad %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(sum));
    return result;
}

/* Bytes 0 and 2 of a word, sign-extended to halves. */
static inline uint32_t sxtb16(uint32_t word)
{
    uint32_t result;

    __asm__("sxtb16 %0, %1" : "=r"(result) : "r"(word));
    return result;
}

/* Bytes 1 and 3 of a word, sign-extended to halves. */
static inline uint32_t sxtb16_odd(uint32_t word)
{
    uint32_t result;

    __asm__("sxtb16 %0, %1, ror #8" : "=r"(result) : "r"(word));
    return result;
}

/* sum + the high word of a * b, rounded: halves up. */
static inline int32_t smmlar(int32_t a, int32_t b, int32_t sum)
{
    int32_t result;

    __asm__("smmlar %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(sum));
    return result;
}

/* x kept within -128..127. */
static inline int32_t ssat8(int32_t x)
{
    int32_t result;

    __asm__("ssat %0, #8, %1" : "=r"(result) : "r"(x));
    return result;
}

/* sum + a * low half / 2^16, rounded down. */
static inline int32_t smlawb(int32_t a, uint32_t halves, int32_t sum)
{
    int32_t result;

    __asm__("smlawb %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(halves), "r"(sum));
    return result;
}

/* Four bytes at any address, as one access. */
static inline uint32_t load_word(const int8_t *from)
{
    uint32_t word;

    __builtin_memcpy(&word, from, sizeof word);
    return word;
}

static inline void store_word(int8_t *to, uint32_t word)
{
    __builtin_memcpy(to, &word, sizeof word);
}

/* Low half of a, low half of b above it. */
static inline uint32_t pkhbt(uint32_t a, uint32_t b)
{
    uint32_t result;

    __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(result) : "r"(a), "r"(b));
    return result;
}

/* High half of a, high half of b below it. */
static inline uint32_t pkhtb(uint32_t a, uint32_t b)
{
    uint32_t result;

    __asm__("pkhtb %0, %1, %2, asr #16" : "=r"(result) : "r"(a), "r"(b));
    return result;
}

#else

#include "halves.h"
#include "high_word.h"

/* Sums wrap as they do on the core. */
static inline int32_t smlad(uint32_t a, uint32_t b, int32_t sum)
{
    return (int32_t)((uint32_t)sum + multiply_signed_halves(a, b) + multiply_signed_halves(a >> 16, b >> 16));
}

static inline uint32_t pkhbt(uint32_t a, uint32_t b)
{
    return (a & 0xFFFFu) | b << 16;
}

static inline int32_t smmlar(int32_t a, int32_t b, int32_t sum)
{
    return sum + biased_high_word(a, b, 0x8000);
}

static inline int32_t ssat8(int32_t x)
{
    return x < -128 ? -128 : x > 127 ? 127 : x;
}

#endif

#endif
