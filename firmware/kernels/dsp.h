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

#else

static inline int32_t smmlar(int32_t a, int32_t b, int32_t sum)
{
    return sum + (int32_t)(((int64_t)a * b + ((int64_t)1 << 31)) >> 32);
}

static inline int32_t ssat8(int32_t x)
{
    return x < -128 ? -128 : x > 127 ? 127 : x;
}

#endif

#endif
