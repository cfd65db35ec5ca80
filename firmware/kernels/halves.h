/*
 * Products of the lower halves of two words. Xtensa has an instruction for each; left to itself, gcc clears or
 * extends the upper halves first where a half is used twice.
 */
#ifndef HALVES_H
#define HALVES_H

#include <stdint.h>

static inline uint32_t multiply_unsigned_halves(uint32_t a, uint32_t b)
{
#if defined(__XTENSA__)
    uint32_t product;

    __asm__("mul16u %0, %1, %2" : "=r"(product) : "r"(a), "r"(b));
    return product;
#else
    return (a & 0xFFFFu) * (b & 0xFFFFu);
#endif
}

/* As a term of a sum that wraps. */
static inline uint32_t multiply_signed_halves(uint32_t a, uint32_t b)
{
#if defined(__XTENSA__)
    uint32_t product;

    __asm__("mul16s %0, %1, %2" : "=r"(product) : "r"(a), "r"(b));
    return product;
#else
    return (uint32_t)((int32_t)(int16_t)a * (int16_t)b);
#endif
}

#endif
