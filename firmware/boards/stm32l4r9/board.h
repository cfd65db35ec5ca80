/* What start-up code, harness and whoever watches them (a debugger, an emulator) agree on. */
#ifndef BOARD_H
#define BOARD_H

#include <stdint.h>

#define BOARD_STACK_PATTERN 0xA5C3965Au

enum board_state {
    BOARD_RUNNING = 1,
    BOARD_FINISHED = 2, /* every vector ran; the counts are valid */
    BOARD_FAULTED = 3   /* an exception was taken; `exception` holds its number */
};

/* Mailbox in RAM. */
struct board_report {
    uint32_t state;
    uint32_t vectors;     /* vectors run so far */
    uint32_t mismatches;  /* output bytes that differ from the expected ones */
    uint32_t stack_bytes; /* deepest use of the stack since reset, as far as it was written to */
    uint32_t exception;
};

extern volatile struct board_report board_report;

/* The program ends here: watchers stop when it is reached. */
void board_halt(void) __attribute__((noreturn));

/* Depth in bytes that the painted stack has been written to since reset. */
uint32_t board_stack_bytes(void);

#endif
