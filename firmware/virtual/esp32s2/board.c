/* Start-up, the end of the program, and faults. */
#include "board.h"

/* Calls of the simulator (Cadence's "simcall", as QEMU serves it): number in a2, arguments in a3 to a5. */
#define SIMCALL_EXIT 1
#define SIMCALL_WRITE 4
#define STANDARD_OUTPUT 1

extern uint32_t __ram_start[], __ram_end[];
extern uint32_t __data_start[], __data_end[];
extern const uint32_t __data_load[];
extern uint32_t __model_data_start[], __model_data_end[];
extern const uint32_t __model_data_load[];
extern uint32_t __bss_start[], __bss_end[];
extern uint32_t __model_bss_start[], __model_bss_end[];

volatile struct board_report board_report;

int main(void);
void board_start(void) __attribute__((noreturn));
void board_fault(uint32_t cause, uint32_t pc, uint32_t address) __attribute__((noreturn));

/* Volatile accesses keep the compiler from turning these loops into calls of memcpy and memset, which would be linked
 * for this alone. */
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

static void simcall(uint32_t number, uint32_t first, uint32_t second, uint32_t third)
{
    register uint32_t a2 __asm__("a2") = number;
    register uint32_t a3 __asm__("a3") = first;
    register uint32_t a4 __asm__("a4") = second;
    register uint32_t a5 __asm__("a5") = third;
    __asm__ volatile("simcall" : "+r"(a2), "+r"(a3) : "r"(a4), "r"(a5) : "memory");
}

void board_start(void)
{
    copy_words(__model_data_start, __model_data_end, __model_data_load);
    copy_words(__data_start, __data_end, __data_load);
    fill_words(__model_bss_start, __model_bss_end, 0u);
    fill_words(__bss_start, __bss_end, 0u);

    board_report.state = BOARD_RUNNING;
    (void)main();
    board_halt();
}

void board_fault(uint32_t cause, uint32_t pc, uint32_t address)
{
    board_report.cause = cause;
    board_report.pc = pc;
    board_report.address = address;
    board_report.state = BOARD_FAULTED;
    board_halt();
}

void board_halt(void)
{
    simcall(SIMCALL_WRITE, STANDARD_OUTPUT, (uint32_t)(uintptr_t)__ram_start,
            (uint32_t)((uintptr_t)__ram_end - (uintptr_t)__ram_start));
    for (;;) {
        simcall(SIMCALL_EXIT, 0u, 0u, 0u);
    }
}
