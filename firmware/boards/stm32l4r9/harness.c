/*
 * Runs every test vector once and keeps the outputs, for a watcher to compare byte by byte; on a board without one,
 * `board_report` in RAM tells how many output bytes differ from the expected ones. Replace this file by an application.
 */
#include <stdint.h>

#include "board.h"
#include "model.h"
#include "system.h"
#include "vectors.h"

int main(void);

extern int8_t harness_results[VECTOR_COUNT][MODEL_OUTPUT_BYTES];
int8_t harness_results[VECTOR_COUNT][MODEL_OUTPUT_BYTES];

/* Volatile: the compiler must not turn the loop into a call of memcpy, which would then be linked for the harness. */
static void copy_bytes(volatile int8_t *destination, const volatile int8_t *source, uint32_t count)
{
    uint32_t i;
    for (i = 0u; i < count; i++) {
        destination[i] = source[i];
    }
}

int main(void)
{
    uint32_t vector;
    uint32_t byte;

    system_clock_120mhz();
    model_init();
    for (vector = 0u; vector < (uint32_t)VECTOR_COUNT; vector++) {
        copy_bytes(model_input(), vector_inputs[vector], (uint32_t)MODEL_INPUT_BYTES);
        model_invoke();
        copy_bytes(harness_results[vector], model_output(), (uint32_t)MODEL_OUTPUT_BYTES);
        for (byte = 0u; byte < (uint32_t)MODEL_OUTPUT_BYTES; byte++) {
            board_report.mismatches += harness_results[vector][byte] != vector_outputs[vector][byte] ? 1u : 0u;
        }
        board_report.vectors = vector + 1u;
    }
    board_report.stack_bytes = board_stack_bytes();
    board_report.state = BOARD_FINISHED;
    return 0;
}
