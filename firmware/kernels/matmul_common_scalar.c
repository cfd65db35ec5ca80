/*
 * Four pixels expanded for matmul_scalar.c and matmul_s4_scalar.c: two words for every input, of pixels 0 and 1 and of
 * pixels 2 and 3, one in each half, as unsigned bytes 128 greater than they are.
 * Cost: about four instructions for an input of a pixel.
 */
#include "matmul_s8.h"

#define EXCESS 128u
#define EXCESS_OF_BOTH (EXCESS | EXCESS << 16)

void expand_s8(uint32_t *expanded, const int8_t *const *pixels, int32_t inputs)
{
    const uint8_t *const first = (const uint8_t *)pixels[0], *const second = (const uint8_t *)pixels[1];
    const uint8_t *const third = (const uint8_t *)pixels[2], *const fourth = (const uint8_t *)pixels[3];
    uint32_t *const end = expanded + MATMUL_WORDS(inputs);

    for (int32_t i = 0; i < inputs; i++) {
        /* To add 128 to a signed byte is to change its highest bit and to take it for unsigned. */
        *expanded++ = (first[i] | (uint32_t)second[i] << 16) ^ EXCESS_OF_BOTH;
        *expanded++ = (third[i] | (uint32_t)fourth[i] << 16) ^ EXCESS_OF_BOTH;
    }
    while (expanded != end) {
        *expanded++ = 0;
    }
}

void expand_pixel_s8(uint32_t *expanded, int32_t index, const int8_t *pixel, int32_t inputs)
{
    const uint32_t *const end = expanded + MATMUL_WORDS(inputs);
    const uint8_t *const bytes = (const uint8_t *)pixel;

    expanded += index / 2;
    for (int32_t i = 0; i < inputs; i++) {
        const uint32_t value = bytes[i] ^ EXCESS;

        *expanded = index % 2 == 0 ? value : *expanded | value << 16;
        expanded += 2;
    }
    for (; expanded < end; expanded += 2) {
        *expanded = 0;
    }
}

void pad_s8(uint32_t *expanded, int32_t value, int32_t inputs)
{
    const uint32_t half = (uint8_t)value ^ EXCESS;

    for (int32_t i = 0; i < MATMUL_WORDS(inputs); i++) {
        expanded[i] = half | half << 16;
    }
}

void pad_pixel_s8(uint32_t *expanded, int32_t index, int32_t value, int32_t inputs)
{
    const uint32_t half = (uint8_t)value ^ EXCESS;

    expanded += index / 2;
    for (int32_t i = 0; i < inputs; i++) {
        *expanded = index % 2 == 0 ? half : *expanded | half << 16;
        expanded += 2;
    }
}
