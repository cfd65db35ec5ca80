/*
 * Computes the features of clips that a watcher puts into RAM, one after the other: each as a whole, and as sound that
 * comes in pieces. The watcher stops the core at `clips_wanted` and `clips_done`. Takes the place of the board's harness.
 */
#include <stdint.h>

#include "board.h"
#include "model.h"
#include "system.h"
#include "vectors.h"

int main(void);
void clips_wanted(void);
void clips_done(void);

extern int16_t clips_samples[MODEL_CLIP_SAMPLES];
extern volatile int32_t clips_piece;
extern int8_t clips_features[2][MODEL_INPUT_BYTES];

int16_t clips_samples[MODEL_CLIP_SAMPLES];
volatile int32_t clips_piece;
int8_t clips_features[2][MODEL_INPUT_BYTES];

/* Volatile: no call of memcpy. */
static void copy_bytes(volatile int8_t *destination, const volatile int8_t *source, uint32_t count)
{
    uint32_t i;
    for (i = 0u; i < count; i++) {
        destination[i] = source[i];
    }
}

__attribute__((noinline)) void clips_wanted(void)
{
    __asm volatile("nop" ::: "memory");
}

__attribute__((noinline)) void clips_done(void)
{
    __asm volatile("nop" ::: "memory");
}

int main(void)
{
    system_clock_120mhz();
    model_init();
    for (;;) {
        int32_t from;
        clips_wanted();
        model_clip(clips_samples);
        copy_bytes(clips_features[0], model_input(), (uint32_t)MODEL_INPUT_BYTES);
        model_input()[0] = (int8_t)~clips_features[0][0];
        model_reset();
        for (from = 0; from < MODEL_CLIP_SAMPLES; from += clips_piece) {
            const int32_t left = MODEL_CLIP_SAMPLES - from;
            (void)model_push(clips_samples + from, left < clips_piece ? left : clips_piece);
        }
        (void)model_load();
        copy_bytes(clips_features[1], model_input(), (uint32_t)MODEL_INPUT_BYTES);
        clips_done();
    }
}
