/* Vector table, reset and fault handlers of the STM32L4R9 (Cortex-M4F; RM0432 "Interrupt and exception vectors"). */
#include <stdint.h>

#include "board.h"

#define DEVICE_INTERRUPTS 95 /* positions 0 to 94 of the vector table; none is enabled here */
#define SCB_CPACR (*(volatile uint32_t *)0xE000ED88u) /* PM0214 "Coprocessor access control register" */

extern uint32_t __stack_limit[], __stack_top[];
extern uint32_t __data_start[], __data_end[];
extern const uint32_t __data_load[];
extern uint32_t __model_data_start[], __model_data_end[];
extern const uint32_t __model_data_load[];
extern uint32_t __bss_start[], __bss_end[];
extern uint32_t __model_bss_start[], __model_bss_end[];

volatile struct board_report board_report;

int main(void);
void Reset_Handler(void) __attribute__((noreturn));
void Fault_Handler(void);

/* Replace any of them by a function of the same name. */
void NMI_Handler(void) __attribute__((weak, alias("Fault_Handler")));
void HardFault_Handler(void) __attribute__((weak, alias("Fault_Handler")));
void MemManage_Handler(void) __attribute__((weak, alias("Fault_Handler")));
void BusFault_Handler(void) __attribute__((weak, alias("Fault_Handler")));
void UsageFault_Handler(void) __attribute__((weak, alias("Fault_Handler")));
void SVC_Handler(void) __attribute__((weak, alias("Fault_Handler")));
void DebugMon_Handler(void) __attribute__((weak, alias("Fault_Handler")));
void PendSV_Handler(void) __attribute__((weak, alias("Fault_Handler")));
void SysTick_Handler(void) __attribute__((weak, alias("Fault_Handler")));
void Default_Handler(void) __attribute__((weak, alias("Fault_Handler")));

struct vector_table {
    uint32_t *stack_top;
    void (*exceptions[15])(void);
    void (*interrupts[DEVICE_INTERRUPTS])(void);
};

extern const struct vector_table vector_table;

__attribute__((section(".vectors"), used)) const struct vector_table vector_table = {
    .stack_top = __stack_top,
    .exceptions = {Reset_Handler, NMI_Handler, HardFault_Handler, MemManage_Handler, BusFault_Handler,
                   UsageFault_Handler, 0, 0, 0, 0, SVC_Handler, DebugMon_Handler, 0, PendSV_Handler, SysTick_Handler},
    .interrupts = {[0 ... DEVICE_INTERRUPTS - 1] = Default_Handler},
};

/* Volatile accesses keep the compiler from turning these loops into calls of memcpy and memset, which would use the
 * stack that is being painted and would be linked for this alone. */
static void copy_words(volatile uint32_t *destination, const uint32_t *end, const volatile uint32_t *source)
{
    while (destination != end) {
        *destination++ = *source++;
    }
}

static void fill_words(volatile uint32_t *destination, const uint32_t *end, uint32_t value)
{
    while (destination != end) {
        *destination++ = value;
    }
}

void Reset_Handler(void)
{
    uint32_t *stack_pointer;

    /* Full access to coprocessors 10 and 11, the FPU: compilers use its registers even in integer code. */
    SCB_CPACR |= 0xFu << 20;
    __asm volatile("dsb\n\tisb" ::: "memory");

    /* Nothing lives below the stack pointer yet, except what the functions called here push. */
    __asm volatile("mov %0, sp" : "=r"(stack_pointer));
    fill_words(__stack_limit, stack_pointer - 8, BOARD_STACK_PATTERN);
    copy_words(__model_data_start, __model_data_end, __model_data_load);
    copy_words(__data_start, __data_end, __data_load);
    fill_words(__model_bss_start, __model_bss_end, 0);
    fill_words(__bss_start, __bss_end, 0);

    board_report.state = BOARD_RUNNING;
    (void)main();
    board_halt();
}

void Fault_Handler(void)
{
    uint32_t exception;
    __asm volatile("mrs %0, ipsr" : "=r"(exception));
    board_report.exception = exception;
    board_report.state = BOARD_FAULTED;
    board_halt();
}

__attribute__((noinline)) void board_halt(void)
{
    /* Awake: a sleeping core may shut a debugger out. */
    for (;;) {
    }
}

uint32_t board_stack_bytes(void)
{
    const volatile uint32_t *word = __stack_limit;
    while (word != __stack_top && *word == BOARD_STACK_PATTERN) {
        word++;
    }
    return (uint32_t)((uintptr_t)__stack_top - (uintptr_t)word);
}
