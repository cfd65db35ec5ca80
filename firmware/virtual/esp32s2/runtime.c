/*
 * Routines that the compiler calls by itself: memory, and the arithmetic that Debian's libgcc for this core lacks.
 * Linked only when the model needs them.
 */
#include <stddef.h>
#include <stdint.h>

/* Keeps gcc from recognising memcpy's loop as memcpy and calling it. */
#define NO_SELF_CALL __attribute__((optimize("no-tree-loop-distribute-patterns")))

void *memcpy(void *restrict destination, const void *restrict source, size_t count);
void *memmove(void *destination, const void *source, size_t count);
void *memset(void *destination, int value, size_t count);
int memcmp(const void *left, const void *right, size_t count);

uint64_t __umulsidi3(uint32_t left, uint32_t right);
uint64_t __muldi3(uint64_t left, uint64_t right);
uint32_t __udivsi3(uint32_t dividend, uint32_t divisor);
uint32_t __umodsi3(uint32_t dividend, uint32_t divisor);
int32_t __divsi3(int32_t dividend, int32_t divisor);
int32_t __modsi3(int32_t dividend, int32_t divisor);
uint64_t __udivdi3(uint64_t dividend, uint64_t divisor);
uint64_t __umoddi3(uint64_t dividend, uint64_t divisor);
int64_t __divdi3(int64_t dividend, int64_t divisor);
int64_t __moddi3(int64_t dividend, int64_t divisor);

NO_SELF_CALL void *memcpy(void *restrict destination, const void *restrict source, size_t count)
{
    unsigned char *to = destination;
    const unsigned char *from = source;
    if ((((uintptr_t)to | (uintptr_t)from) & 3u) == 0u) {
        for (; count >= 4u; count -= 4u, to += 4, from += 4) {
            *(uint32_t *)(void *)to = *(const uint32_t *)(const void *)from;
        }
    }
    while (count-- != 0u) {
        *to++ = *from++;
    }
    return destination;
}

NO_SELF_CALL void *memmove(void *destination, const void *source, size_t count)
{
    unsigned char *to = destination;
    const unsigned char *from = source;
    if (to <= from) {
        while (count-- != 0u) {
            *to++ = *from++;
        }
    } else {
        while (count-- != 0u) {
            to[count] = from[count];
        }
    }
    return destination;
}

NO_SELF_CALL void *memset(void *destination, int value, size_t count)
{
    unsigned char *to = destination;
    if (((uintptr_t)to & 3u) == 0u) {
        const uint32_t word = (uint32_t)(unsigned char)value * 0x01010101u;
        for (; count >= 4u; count -= 4u, to += 4) {
            *(uint32_t *)(void *)to = word;
        }
    }
    while (count-- != 0u) {
        *to++ = (unsigned char)value;
    }
    return destination;
}

NO_SELF_CALL int memcmp(const void *left, const void *right, size_t count)
{
    const unsigned char *a = left;
    const unsigned char *b = right;
    for (; count != 0u; count--, a++, b++) {
        if (*a != *b) {
            return *a < *b ? -1 : 1;
        }
    }
    return 0;
}

/* Halves of a 64-bit number, without a shift of the whole. */
union halves {
    uint64_t whole;
    struct {
        uint32_t low, high; /* little-endian, as this core is */
    } part;
};

static uint64_t join(uint32_t high, uint32_t low)
{
    union halves result;
    result.part.low = low;
    result.part.high = high;
    return result.whole;
}

static uint32_t low_of(uint64_t value)
{
    union halves halves;
    halves.whole = value;
    return halves.part.low;
}

static uint32_t high_of(uint64_t value)
{
    union halves halves;
    halves.whole = value;
    return halves.part.high;
}

/* From four products of halves; the core multiplies 16 by 16 bits and keeps 32 bits of 32 by 32. */
uint64_t __umulsidi3(uint32_t left, uint32_t right)
{
    const uint32_t low_low = (left & 0xFFFFu) * (right & 0xFFFFu);
    const uint32_t low_high = (left & 0xFFFFu) * (right >> 16);
    const uint32_t high_low = (left >> 16) * (right & 0xFFFFu);
    const uint32_t high_high = (left >> 16) * (right >> 16);
    const uint32_t middle = (low_low >> 16) + (low_high & 0xFFFFu) + high_low; /* at most 2^32 - 1 */
    return join(high_high + (low_high >> 16) + (middle >> 16), (middle << 16) | (low_low & 0xFFFFu));
}

uint64_t __muldi3(uint64_t left, uint64_t right)
{
    const uint64_t product = __umulsidi3(low_of(left), low_of(right));
    return join(high_of(product) + low_of(left) * high_of(right) + high_of(left) * low_of(right), low_of(product));
}

/* Division bit by bit. By zero: all bits set, as the ESP32-S2's would fault and C defines nothing. */
static uint32_t divide(uint32_t dividend, uint32_t divisor, uint32_t *remainder)
{
    uint32_t quotient = 0u, rest = 0u;
    int bit;
    for (bit = 31; bit >= 0; bit--) {
        const uint32_t carry = rest >> 31;
        rest = (rest << 1) | ((dividend >> bit) & 1u);
        if (carry != 0u || rest >= divisor) {
            rest -= divisor;
            quotient |= 1u << bit;
        }
    }
    *remainder = rest;
    return quotient;
}

static uint64_t divide_long(uint64_t dividend, uint64_t divisor, uint64_t *remainder)
{
    uint32_t quotient_high = 0u, quotient_low = 0u;
    uint64_t rest = 0u;
    int bit;
    for (bit = 63; bit >= 0; bit--) {
        const uint32_t word = bit >= 32 ? high_of(dividend) : low_of(dividend);
        const uint32_t carry = high_of(rest) >> 31;
        rest = rest + rest + ((word >> (bit & 31)) & 1u);
        if (carry != 0u || rest >= divisor) {
            rest -= divisor;
            if (bit >= 32) {
                quotient_high |= 1u << (bit - 32);
            } else {
                quotient_low |= 1u << bit;
            }
        }
    }
    *remainder = rest;
    return join(quotient_high, quotient_low);
}

static uint32_t magnitude(int32_t value) { return value < 0 ? 0u - (uint32_t)value : (uint32_t)value; }
static uint64_t long_magnitude(int64_t value) { return value < 0 ? 0u - (uint64_t)value : (uint64_t)value; }

uint32_t __udivsi3(uint32_t dividend, uint32_t divisor)
{
    uint32_t rest;
    return divide(dividend, divisor, &rest);
}

uint32_t __umodsi3(uint32_t dividend, uint32_t divisor)
{
    uint32_t rest;
    (void)divide(dividend, divisor, &rest);
    return rest;
}

int32_t __divsi3(int32_t dividend, int32_t divisor)
{
    const uint32_t quotient = __udivsi3(magnitude(dividend), magnitude(divisor));
    return (int32_t)((dividend < 0) != (divisor < 0) ? 0u - quotient : quotient);
}

int32_t __modsi3(int32_t dividend, int32_t divisor)
{
    const uint32_t rest = __umodsi3(magnitude(dividend), magnitude(divisor));
    return (int32_t)(dividend < 0 ? 0u - rest : rest);
}

uint64_t __udivdi3(uint64_t dividend, uint64_t divisor)
{
    uint64_t rest;
    return divide_long(dividend, divisor, &rest);
}

uint64_t __umoddi3(uint64_t dividend, uint64_t divisor)
{
    uint64_t rest;
    (void)divide_long(dividend, divisor, &rest);
    return rest;
}

int64_t __divdi3(int64_t dividend, int64_t divisor)
{
    const uint64_t quotient = __udivdi3(long_magnitude(dividend), long_magnitude(divisor));
    return (int64_t)((dividend < 0) != (divisor < 0) ? 0u - quotient : quotient);
}

int64_t __moddi3(int64_t dividend, int64_t divisor)
{
    const uint64_t rest = __umoddi3(long_magnitude(dividend), long_magnitude(divisor));
    return (int64_t)(dividend < 0 ? 0u - rest : rest);
}
