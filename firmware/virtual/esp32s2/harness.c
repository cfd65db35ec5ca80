/*
 * Runs every test vector once, measures each call and keeps the outputs, for the program outside to compare byte by
 * byte. A network that starts from sound also gets its test clips, whole and in pieces.
 */
#include "board.h"
#include "model.h"
#include "vectors.h"

#define FUNCTION(name) ((void (*)(void))(name))

int main(void);

extern int8_t harness_results[VECTOR_COUNT][MODEL_OUTPUT_BYTES];
int8_t harness_results[VECTOR_COUNT][MODEL_OUTPUT_BYTES];

extern volatile struct board_call harness_nothing, harness_invokes[VECTOR_COUNT];
volatile struct board_call harness_nothing, harness_invokes[VECTOR_COUNT];

#if defined(MODEL_CLIP_SAMPLES)
#define PIECE 150 /* samples: no multiple of them is a hop */
#define PIECES ((MODEL_CLIP_SAMPLES + PIECE - 1) / PIECE)

/* Features of every clip given as a whole, and as sound that comes in. */
extern int8_t harness_features[CLIP_COUNT][2][MODEL_INPUT_BYTES];
int8_t harness_features[CLIP_COUNT][2][MODEL_INPUT_BYTES];

extern volatile struct board_call harness_clips[CLIP_COUNT], harness_pushes[CLIP_COUNT][PIECES];
volatile struct board_call harness_clips[CLIP_COUNT], harness_pushes[CLIP_COUNT][PIECES];
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
    int32_t clip, piece;

    for (clip = 0; clip < CLIP_COUNT; clip++) {
        board_measure(&harness_clips[clip], FUNCTION(model_clip), (intptr_t)vector_clips[clip], 0);
        keep(harness_features[clip][0], model_input(), vector_features[clip], (uint32_t)MODEL_INPUT_BYTES);
        model_reset();
        for (piece = 0; piece < PIECES; piece++) {
            const int32_t left = MODEL_CLIP_SAMPLES - piece * PIECE;
            board_measure(&harness_pushes[clip][piece], FUNCTION(model_push),
                          (intptr_t)(vector_clips[clip] + piece * PIECE), left < PIECE ? left : PIECE);
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

    board_measure(&harness_nothing, board_nothing, 0, 0);
    model_init();
#if defined(MODEL_CLIP_SAMPLES)
    run_clips();
#endif
    for (vector = 0u; vector < (uint32_t)VECTOR_COUNT; vector++) {
        copy_bytes(model_input(), vector_inputs[vector], (uint32_t)MODEL_INPUT_BYTES);
        board_measure(&harness_invokes[vector], model_invoke, 0, 0);
        keep(harness_results[vector], model_output(), vector_outputs[vector], (uint32_t)MODEL_OUTPUT_BYTES);
        board_report.vectors = vector + 1u;
    }
    board_report.state = BOARD_FINISHED;
    return 0;
}
