/*
 * Start-up code and harness for the board mps2-an386 of QEMU: runs every test vector once and prints, for each, ticks
 * of the timer around `model_invoke` and the bytes of the output, and at first the ticks around an empty function.
 *
 * The timer is the CMSDK's APB timer 0 ("Cortex-M System Design Kit Technical Reference Manual", APB timer), which
 * counts down at 25 MHz. Output and exit are semihosting calls ("Semihosting for AArch32 and AArch64").
 */
#include <stdint.h>

#include "model.h"
#include "vectors.h"

#define SCB_CPACR (*(volatile uint32_t *)0xE000ED88u)

#define TIMER_CTRL (*(volatile uint32_t *)0x40000000u)
#define TIMER_VALUE (*(volatile uint32_t *)0x40000004u)
#define TIMER_RELOAD (*(volatile uint32_t *)0x40000008u)
#define TIMER_INTSTATUS (*(volatile uint32_t *)0x4000000Cu)
#define TIMER_ENABLE (1u << 0)
#define TIMER_INTERRUPT (1u << 3) /* lets INTSTATUS tell that zero was passed; the core's own controller ignores it */

#define SYS_WRITE0 0x04u
#define SYS_EXIT_EXTENDED 0x20u
#define APPLICATION_EXIT 0x20026u

#define EXIT_FINISHED 0u
#define EXIT_TIMER 2u
#define EXIT_FAULT 3u

extern uint32_t __stack_top[];
extern uint32_t __bss_start[], __bss_end[];

void Reset_Handler(void) __attribute__((noreturn));
void Fault_Handler(void) __attribute__((noreturn));
void nothing(void);

struct vector_table {
    uint32_t *stack_top;
    void (*exceptions[15])(void);
};

/* No interrupt is enabled: the table ends with the core's exceptions. */
__attribute__((section(".vectors"), used)) static const struct vector_table vectors = {
    __stack_top,
    {Reset_Handler, Fault_Handler, Fault_Handler, Fault_Handler, Fault_Handler, Fault_Handler, 0, 0, 0, 0,
     Fault_Handler, Fault_Handler, 0, Fault_Handler, Fault_Handler},
};

static uint32_t semihosting(uint32_t operation, const void *argument)
{
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static __attribute__((noreturn)) void leave(uint32_t code)
{
    const uint32_t block[2] = {APPLICATION_EXIT, code};
    (void)semihosting(SYS_EXIT_EXTENDED, block);
    for (;;) {
    }
}

void Fault_Handler(void) { leave(EXIT_FAULT); }

/* `bx lr` and nothing else. */
__attribute__((naked, noinline)) void nothing(void) { __asm volatile("bx lr"); }

/* Ticks from a load of the timer to the next, with the call between them. The same code measures every function. */
static __attribute__((noinline)) uint32_t ticks_of(void (*function)(void))
{
    uint32_t before;

    TIMER_CTRL = 0u;
    TIMER_INTSTATUS = 1u;
    TIMER_RELOAD = 0xFFFFFFFFu;
    TIMER_VALUE = 0xFFFFFFFFu;
    TIMER_CTRL = TIMER_ENABLE | TIMER_INTERRUPT;
    before = TIMER_VALUE;
    function();
    before -= TIMER_VALUE;
    if (TIMER_INTSTATUS != 0u) {
        leave(EXIT_TIMER);
    }
    return before;
}

/* A word of `digits` hexadecimal digits and what ends it. */
static void print(uint32_t value, uint32_t digits, char end)
{
    static char text[10];
    uint32_t i;

    for (i = 0u; i < digits; i++) {
        text[i] = "0123456789abcdef"[(value >> (4u * (digits - 1u - i))) & 15u];
    }
    text[digits] = end;
    text[digits + (end != '\0' ? 1u : 0u)] = '\0';
    (void)semihosting(SYS_WRITE0, text);
}

static void run(void)
{
    uint32_t vector, i;

    print(ticks_of(nothing), 8u, '\n');
    model_init();
    for (vector = 0u; vector < (uint32_t)VECTOR_COUNT; vector++) {
        volatile int8_t *const input = model_input();
        for (i = 0u; i < (uint32_t)MODEL_INPUT_BYTES; i++) {
            input[i] = vector_inputs[vector][i];
        }
        print(ticks_of(model_invoke), 8u, ' ');
        for (i = 0u; i < (uint32_t)MODEL_OUTPUT_BYTES; i++) {
            print((uint8_t)model_output()[i], 2u, '\0');
        }
        print(0u, 0u, '\n');
    }
}

void Reset_Handler(void)
{
    volatile uint32_t *word;

    SCB_CPACR |= 0xFu << 20; /* the FPU: compilers use its registers even in integer code */
    __asm volatile("dsb\n\tisb" ::: "memory");
    for (word = __bss_start; word != __bss_end; word++) {
        *word = 0u;
    }
    run();
    leave(EXIT_FINISHED);
}
