/*
 * Runs single kernels under the sanitisers: reads jobs from the standard input, writes their outputs to the standard
 * output. Every array has a block of its own and of its exact size, unless input and output are to share one.
 */
#include <stdio.h>
#include <stdlib.h>

#include "kernels.h"

enum { CONV2D, POINTWISE, FULLY_CONNECTED, POINTWISE_S4, FULLY_CONNECTED_S4 };

/* All sizes in bytes. */
typedef struct {
    int32_t kernel, params, input, filters, scratch, output;
    int32_t lag; /* of the input behind the output, if they share their bytes; else -1 */
    int32_t first, end; /* rows of conv2d_s8 */
    int32_t pixels;
} job;

static void *received(size_t size)
{
    void *const block = malloc(size);

    if (!block || fread(block, 1, size, stdin) != size) {
        exit(2);
    }
    return block;
}

static void run(const job *j)
{
    void *const params = received((size_t)j->params);
    const conv2d_s8_params *const conv = params;
    int32_t *const filters = received((size_t)j->filters);
    int8_t *const input = received((size_t)j->input);
    int32_t *const scratch = malloc((size_t)j->scratch);
    const int32_t reach = j->lag < 0 ? 0 : j->lag + j->input;
    int8_t *const output = malloc((size_t)(j->output > reach ? j->output : reach));
    const int8_t *from = input;

    if (!scratch || !output) {
        exit(2);
    }
    if (j->lag >= 0) {
        for (int32_t i = 0; i < j->input; i++) {
            output[j->lag + i] = input[i];
        }
        from = output + j->lag;
    }
    switch (j->kernel) {
    case CONV2D:
        conv2d_s8(params, from, filters, scratch, conv->window.input_height, j->first, j->end, output);
        break;
    case POINTWISE:
        pointwise_s8(params, from, filters, scratch, j->pixels, output);
        break;
    case FULLY_CONNECTED:
        fully_connected_s8(params, from, filters, output);
        break;
    case POINTWISE_S4:
        pointwise_s4(params, from, filters, scratch, j->pixels, output);
        break;
    default:
        fully_connected_s4(params, from, filters, output);
    }
    fwrite(output, 1, (size_t)j->output, stdout);
    fflush(stdout);
    free(params);
    free(filters);
    free(input);
    free(scratch);
    free(output);
}

int main(void)
{
    job next;

    while (fread(&next, sizeof next, 1, stdin) == 1) {
        run(&next);
    }
    return 0;
}
