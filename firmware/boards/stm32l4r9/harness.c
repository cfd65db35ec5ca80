/*
 * Runs every test vector once and keeps the outputs, for a watcher to compare byte by byte; on a board without one,
 * `board_report` in RAM tells how many output bytes differ from the expected ones. A network that starts from sound also
 * gets its test clips, whole and in pieces, and their features are compared. Replace this file by an application.
 */
#include <stdint.h>

#include "board.h"
#include "model.h"
#include "system.h"
#include "vectors.h"

int main(void);

extern int8_t harness_results[VECTOR_COUNT][MODEL_OUTPUT_BYTES];
int8_t harness_results[VECTOR_COUNT][MODEL_OUTPUT_BYTES];

#if defined(MODEL_CLIP_SAMPLES)
/* Features of every clip given as a whole, and as sound that comes in. */
extern int8_t harness_features[CLIP_COUNT][2][MODEL_INPUT_BYTES];
int8_t harness_features[CLIP_COUNT][2][MODEL_INPUT_BYTES];

#define PIECE 150 /* samples: no multiple of them is a hop */
#endif

/* Volatile: the compiler must not turn the loop into a call of memcpy, which would then be linked for the harness. */
static void copy_bytes(volatile int8_t *destination, const volatile int8_t *source, uint32_t count)
{
    uint32_t i;
    for (i = 0u; i < count; i++) {
        destination[i] = source[i];
    }
}

static void keep(int8_t *results, const int8_t *output, const int8_t *expected, uint32_t count)
{
    uint32_t i;
    copy_bytes(results, output, count);
    for (i = 0u; i < count; i++) {
        board_report.mismatches += results[i] != expected[i] ? 1u : 0u;
    }
}

#if defined(MODEL_CLIP_SAMPLES)
static void run_clips(void)
{
    uint32_t clip;
    int32_t from;

    for (clip = 0u; clip < (uint32_t)CLIP_COUNT; clip++) {
        model_clip(vector_clips[clip]);
        keep(harness_features[clip][0], model_input(), vector_features[clip], (uint32_t)MODEL_INPUT_BYTES);
        model_reset();
        for (from = 0; from < MODEL_CLIP_SAMPLES; from += PIECE) {
            const int32_t left = MODEL_CLIP_SAMPLES - from;
            (void)model_push(vector_clips[clip] + from, left < PIECE ? left : PIECE);
        }
        /* Nothing is copied when rows are missing: the bytes before must not pass for it. */
        model_input()[0] = (int8_t)~vector_features[clip][0];
        (void)model_load();
        keep(harness_features[clip][1], model_input(), vector_features[clip], (uint32_t)MODEL_INPUT_BYTES);
    }
}
#endif

int main(void)
{
    uint32_t vector;

    system_clock_120mhz();
    model_init();
#if defined(MODEL_CLIP_SAMPLES)
    run_clips();
#endif
    for (vector = 0u; vector < (uint32_t)VECTOR_COUNT; vector++) {
        copy_bytes(model_input(), vector_inputs[vector], (uint32_t)MODEL_INPUT_BYTES);
        model_invoke();
        keep(harness_results[vector], model_output(), vector_outputs[vector], (uint32_t)MODEL_OUTPUT_BYTES);
        board_report.vectors = vector + 1u;
    }
    board_report.stack_bytes = board_stack_bytes();
    board_report.state = BOARD_FINISHED;
    return 0;
}
