/*
 * High words of products. Cores without an instruction for them would call a library for every product of 64 bits;
 * for these they are put together from products of halves, 14 instructions on an Xtensa LX106. The result is the
 * same.
 */
#ifndef HIGH_WORD_H
#define HIGH_WORD_H

#include <stdint.h>

#if !defined(MULTIPLIES_TO_64_BITS)
#if defined(__XTENSA_CALL0_ABI__)
/* An LX106. The ESP32 and its successors, which have the instruction, are compiled for windowed calls. */
#define MULTIPLIES_TO_64_BITS 0
#elif defined(__ARM_ARCH_6M__) || defined(__ARM_ARCH_8M_BASE__)
#define MULTIPLIES_TO_64_BITS 0
#else
#define MULTIPLIES_TO_64_BITS 1
#endif
#endif

/* a * b / 2^32, rounded down after `bias` / 2^16 is added; `bias` at most 0x8000. */
static inline int32_t biased_high_word(int32_t a, int32_t b, int32_t bias)
{
#if MULTIPLIES_TO_64_BITS
    return (int32_t)(((int64_t)a * b + (int64_t)bias * 65536) >> 32);
#else
    const int32_t a_low = (int32_t)((uint32_t)a & 0xFFFFu), b_low = (int32_t)((uint32_t)b & 0xFFFFu);
    const int32_t a_high = a >> 16, b_high = b >> 16;
    /* Neither of these sums leaves 32 bits, whatever the halves are. */
    const int32_t middle = a_high * b_low + (int32_t)(((uint32_t)a_low * (uint32_t)b_low) >> 16) + bias;
    const int32_t rest = a_low * b_high + (middle & 0xFFFF);

    return a_high * b_high + (middle >> 16) + (rest >> 16);
#endif
}

/* a * b / 2^31, rounded to nearest, ties up. */
static inline int32_t rounded_high_product(int32_t a, int32_t b)
{
#if MULTIPLIES_TO_64_BITS
    return (int32_t)(((int64_t)a * b + ((int64_t)1 << 30)) >> 31);
#else
    const uint32_t low = (uint32_t)a * (uint32_t)b;

    return (int32_t)(((uint32_t)biased_high_word(a, b, 0) << 1 | low >> 31) + (low >> 30 & 1u));
#endif
}

#endif
