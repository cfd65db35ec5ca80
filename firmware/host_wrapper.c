/*
 * Runs an exported network over many inputs on the machine it is compiled on: as a function of a shared library, or with
 * HOST_PROGRAM as a program that reads inputs from its standard input and writes outputs to its standard output.
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

#if defined(HOST_PROGRAM)

int main(void)
{
    static int8_t input[MODEL_INPUT_BYTES];
    static int8_t output[MODEL_OUTPUT_BYTES];

    model_init();
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

#endif
