/*
 * Products of 16-bit halves of words, as cores with the DSP extension (Cortex-M4) compute them in one instruction; for
 * other cores the same in C. Names are those of Arm's instructions: B is the low (bottom) half, T the high (top) one;
 * W takes bits 16 to 47 of the product of a word and a half, so it rounds towards minus infinity.
 */
#ifndef FRONTEND_ARITHMETIC_H
#define FRONTEND_ARITHMETIC_H

#include <stdint.h>

/* A stage stays a function of its own: it needs all registers for itself, and a profile shows what it costs. */
#if defined(__GNUC__)
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define STAGE static __attribute__((noinline))
#else
#define ALWAYS_INLINE static inline
#define STAGE static
#endif

#if defined(__ARM_FEATURE_DSP) && defined(__GNUC__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__

#define PRODUCT(instruction, type)                                                  \
    ALWAYS_INLINE int32_t instruction(type a, uint32_t b)                           \
    {                                                                               \
        int32_t result;                                                             \
        __asm(#instruction " %0, %1, %2" : "=r"(result) : "r"(a), "r"(b));          \
        return result;                                                              \
    }
#define PRODUCT_AND_SUM(instruction, type)                                          \
    ALWAYS_INLINE int32_t instruction(type a, uint32_t b, int32_t c)                \
    {                                                                               \
        int32_t result;                                                             \
        __asm(#instruction " %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(c)); \
        return result;                                                              \
    }

PRODUCT(smulbb, uint32_t)
PRODUCT(smultt, uint32_t)
PRODUCT(smulwb, int32_t)
PRODUCT(smulwt, int32_t)
PRODUCT_AND_SUM(smlawb, int32_t)
PRODUCT_AND_SUM(smlad, uint32_t)

/* Two neighbours as a pair; the core loads words from any address. */
ALWAYS_INLINE uint32_t load_pair(const int16_t *from)
{
    struct unaligned {
        uint32_t word;
    } __attribute__((packed, may_alias));

    return ((const struct unaligned *)from)->word;
}

/* Stores two words and returns where the next one goes: the step costs nothing when the stores make it. */
ALWAYS_INLINE int32_t *put(int32_t *to, int32_t re, int32_t im)
{
    __asm("str %2, [%0], #4\n\tstr %3, [%0], #4" : "+r"(to), "=m"(*(int32_t(*)[2])to) : "r"(re), "r"(im));
    return to;
}

#else

ALWAYS_INLINE int32_t bottom(uint32_t word)
{
    return (int16_t)(uint16_t)word;
}

ALWAYS_INLINE int32_t top(uint32_t word)
{
    return (int16_t)(uint16_t)(word >> 16);
}

ALWAYS_INLINE int32_t smulbb(uint32_t a, uint32_t b)
{
    return bottom(a) * bottom(b);
}

ALWAYS_INLINE int32_t smultt(uint32_t a, uint32_t b)
{
    return top(a) * top(b);
}

ALWAYS_INLINE int32_t smulwb(int32_t a, uint32_t b)
{
    return (int32_t)(((int64_t)a * bottom(b)) >> 16);
}

ALWAYS_INLINE int32_t smulwt(int32_t a, uint32_t b)
{
    return (int32_t)(((int64_t)a * top(b)) >> 16);
}

ALWAYS_INLINE int32_t smlawb(int32_t a, uint32_t b, int32_t c)
{
    return smulwb(a, b) + c;
}

ALWAYS_INLINE int32_t smlad(uint32_t a, uint32_t b, int32_t c)
{
    return smulbb(a, b) + smultt(a, b) + c;
}

ALWAYS_INLINE uint32_t load_pair(const int16_t *from)
{
    return (uint16_t)from[0] | (uint32_t)(uint16_t)from[1] << 16;
}

ALWAYS_INLINE int32_t *put(int32_t *to, int32_t re, int32_t im)
{
    to[0] = re;
    to[1] = im;
    return to + 2;
}

#endif

/* Zeros in front of the highest one of a word that is not 0. */
ALWAYS_INLINE int32_t leading_zeros(uint32_t word)
{
#if defined(__GNUC__)
    return __builtin_clz(word);
#else
    int32_t count = 0;

    for (; (word & 0x80000000u) == 0u; word <<= 1) {
        count++;
    }
    return count;
#endif
}

#endif
