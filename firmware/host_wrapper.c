/*
 * Runs an exported network over many inputs on the machine it is compiled on: as a function of a shared library, or with
 * HOST_PROGRAM as a program that reads inputs from its standard input and writes outputs to its standard output. With an
 * argument that program reads clips and writes their features, made of each as a whole and then in pieces.
 */
#include <stddef.h>
#include <stdint.h>

#include "model.h"
#include "vectors.h"

#if defined(HOST_PROGRAM)
#include <stdio.h>
#elif defined(_WIN32)
#define EXPORTED __declspec(dllexport)
#else
#define EXPORTED __attribute__((visibility("default")))
#endif

static void run(const int8_t *input, int8_t *output)
{
    int8_t *to = model_input();
    const int8_t *from = model_output();

    for (size_t i = 0; i < MODEL_INPUT_BYTES; i++) {
        to[i] = input[i];
    }
    model_invoke();
    for (size_t i = 0; i < MODEL_OUTPUT_BYTES; i++) {
        output[i] = from[i];
    }
}

#if defined(MODEL_CLIP_SAMPLES)

static void keep_features(int8_t *features)
{
    const int8_t *from = model_input();

    for (size_t i = 0; i < MODEL_INPUT_BYTES; i++) {
        features[i] = from[i];
    }
}

static void hear(const int16_t *clip, int8_t *features)
{
    model_clip(clip);
    keep_features(features);
}

/* Sound in pieces; the network's input after each piece that completed rows, once there are enough. Returns how many. */
static size_t listen(const int16_t *samples, const int32_t *pieces, size_t count, int8_t *features)
{
    size_t loaded = 0;

    model_reset();
    for (size_t i = 0; i < count; i++) {
        if (model_push(samples, pieces[i]) > 0 && model_load()) {
            keep_features(features + loaded * MODEL_INPUT_BYTES);
            loaded++;
        }
        samples += pieces[i];
    }
    return loaded;
}

#endif

#if defined(HOST_PROGRAM)

#if defined(MODEL_CLIP_SAMPLES)

#define PIECE 149

static int write_features(void)
{
    static int16_t clip[MODEL_CLIP_SAMPLES];
    static int32_t pieces[MODEL_CLIP_SAMPLES / PIECE + 1];
    static int8_t features[MODEL_CLIP_SAMPLES / MODEL_HOP_SAMPLES + 1][MODEL_INPUT_BYTES];
    const size_t count = sizeof pieces / sizeof *pieces;

    for (size_t i = 0; i < count; i++) {
        pieces[i] = i + 1 < count ? PIECE : MODEL_CLIP_SAMPLES % PIECE;
    }
    while (fread(clip, 1, sizeof clip, stdin) == sizeof clip) {
        hear(clip, features[0]);
        if (fwrite(features[0], 1, MODEL_INPUT_BYTES, stdout) != MODEL_INPUT_BYTES) {
            return 1;
        }
        if (listen(clip, pieces, count, features[0]) != 1 ||
            fwrite(features[0], 1, MODEL_INPUT_BYTES, stdout) != MODEL_INPUT_BYTES) {
            return 1;
        }
    }
    return fflush(stdout) != 0;
}

#endif

int main(int argc, char **argv)
{
    static int8_t input[MODEL_INPUT_BYTES];
    static int8_t output[MODEL_OUTPUT_BYTES];

    (void)argv;
    model_init();
#if defined(MODEL_CLIP_SAMPLES)
    if (argc > 1) {
        return write_features();
    }
#else
    (void)argc;
#endif
    while (fread(input, 1, sizeof input, stdin) == sizeof input) {
        run(input, output);
        if (fwrite(output, 1, sizeof output, stdout) != sizeof output) {
            return 1;
        }
    }
    return fflush(stdout) != 0;
}

#else

EXPORTED void host_run(const int8_t *inputs, int8_t *outputs, size_t count);

void host_run(const int8_t *inputs, int8_t *outputs, size_t count)
{
    model_init();
    for (size_t i = 0; i < count; i++) {
        run(inputs + i * MODEL_INPUT_BYTES, outputs + i * MODEL_OUTPUT_BYTES);
    }
}

#if defined(MODEL_CLIP_SAMPLES)

EXPORTED void host_features(const int16_t *clips, int8_t *features, size_t count);
EXPORTED size_t host_listen(const int16_t *samples, const int32_t *pieces, size_t count, int8_t *features);

void host_features(const int16_t *clips, int8_t *features, size_t count)
{
    model_init();
    for (size_t i = 0; i < count; i++) {
        hear(clips + i * MODEL_CLIP_SAMPLES, features + i * MODEL_INPUT_BYTES);
    }
}

size_t host_listen(const int16_t *samples, const int32_t *pieces, size_t count, int8_t *features)
{
    model_init();
    return listen(samples, pieces, count, features);
}

#endif

#endif
