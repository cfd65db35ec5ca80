/*
 * The memory routines that compilers call by themselves even in freestanding code (a structure copy, an array set to
 * zero). Linked only when the model needs them; a C library's own may be linked instead of this file.
 */
#include <stddef.h>

#if defined(__clang__)
#define NO_SELF_CALL
#else
/* Keeps gcc from recognising memcpy's loop as memcpy and calling it. clang is told with -fno-builtin. */
#define NO_SELF_CALL __attribute__((optimize("no-tree-loop-distribute-patterns")))
#endif

void *memcpy(void *restrict destination, const void *restrict source, size_t count);
void *memmove(void *destination, const void *source, size_t count);
void *memset(void *destination, int value, size_t count);
int memcmp(const void *left, const void *right, size_t count);

NO_SELF_CALL void *memcpy(void *restrict destination, const void *restrict source, size_t count)
{
    unsigned char *to = destination;
    const unsigned char *from = source;
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

/* Names of the Arm run-time ABI (RTABI section 4.3.4), which clang calls for this target. */
void __aeabi_memcpy(void *destination, const void *source, size_t count);
void __aeabi_memmove(void *destination, const void *source, size_t count);
void __aeabi_memset(void *destination, size_t count, int value);
void __aeabi_memclr(void *destination, size_t count);

void __aeabi_memcpy(void *destination, const void *source, size_t count) { (void)memcpy(destination, source, count); }
void __aeabi_memmove(void *destination, const void *source, size_t count) { (void)memmove(destination, source, count); }
void __aeabi_memset(void *destination, size_t count, int value) { (void)memset(destination, value, count); }
void __aeabi_memclr(void *destination, size_t count) { (void)memset(destination, 0, count); }

/* Variants for destinations and sources that are known to be aligned. */
#define ALIAS(name) __attribute__((alias(name)))
void __aeabi_memcpy4(void *destination, const void *source, size_t count) ALIAS("__aeabi_memcpy");
void __aeabi_memcpy8(void *destination, const void *source, size_t count) ALIAS("__aeabi_memcpy");
void __aeabi_memmove4(void *destination, const void *source, size_t count) ALIAS("__aeabi_memmove");
void __aeabi_memmove8(void *destination, const void *source, size_t count) ALIAS("__aeabi_memmove");
void __aeabi_memset4(void *destination, size_t count, int value) ALIAS("__aeabi_memset");
void __aeabi_memset8(void *destination, size_t count, int value) ALIAS("__aeabi_memset");
void __aeabi_memclr4(void *destination, size_t count) ALIAS("__aeabi_memclr");
void __aeabi_memclr8(void *destination, size_t count) ALIAS("__aeabi_memclr");
