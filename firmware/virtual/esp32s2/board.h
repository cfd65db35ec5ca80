/*
 * What start-up code, harness and the program outside the emulator agree on. This board exists in an emulator alone: an
 * Xtensa LX106 in QEMU's machine "sim", with the ESP32-S2's sizes of memory. It is no part of an exported network.
 */
#ifndef BOARD_H
#define BOARD_H

#include <stdint.h>

enum board_state {
    BOARD_RUNNING = 1,
    BOARD_FINISHED = 2, /* every vector ran; the counts are valid */
    BOARD_FAULTED = 3   /* an exception was taken; its cause and place are in the report */
};

/* Mailbox in RAM. */
struct board_report {
    uint32_t state;
    uint32_t vectors;     /* vectors run so far */
    uint32_t mismatches;  /* output bytes that differ from the expected ones */
    uint32_t stack_bytes; /* of harness and start-up code, where the measured function's own stack begins */
    uint32_t cause;       /* of an exception: the registers EXCCAUSE, EPC1 and EXCVADDR */
    uint32_t pc;
    uint32_t address;
};

extern volatile struct board_report board_report;

/* One call of a function. */
struct board_call {
    uint32_t ticks; /* of the cycle counter, reading it and calling included: 64 ticks are 25 instructions */
    uint32_t stack; /* bytes of stack below the caller's that were written to */
};

/* Paints the free stack, calls `function(first, second)` and tells what it took. */
void board_measure(volatile struct board_call *call, void (*function)(void), intptr_t first, intptr_t second);

/* Returns at once: what board_measure() counts for it is its own share and one instruction. */
void board_nothing(void);

/* Hands all RAM to the world outside and ends the emulation. */
void board_halt(void) __attribute__((noreturn));

#endif
