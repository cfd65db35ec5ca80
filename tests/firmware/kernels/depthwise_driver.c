/*
 * Runs single depthwise kernels under the sanitisers: reads jobs from the standard input, writes their outputs to the
 * standard output. Every array has a block of its own and of its exact size; input and output may share one.
 */
#include <stdio.h>
#include <stdlib.h>

#include "kernels.h"

enum { GENERAL, THREE, CHANNELWISE };

/* Sizes in bytes. */
typedef struct {
    int32_t kernel, params, input, weights, bias, requant, scratch, output, in_place, origin;
} job;

static void *room(size_t size)
{
    void *const block = malloc(size);

    if (!block) {
        exit(2);
    }
    return block;
}

static void *received(size_t size)
{
    void *const block = room(size);

    if (fread(block, 1, size, stdin) != size) {
        exit(2);
    }
    return block;
}

static void run(const job *j)
{
    void *const params = received((size_t)j->params);
    int8_t *const input = received((size_t)j->input);
    int8_t *const weights = received((size_t)j->weights);
    int32_t *const bias = received((size_t)j->bias);
    requant_s8 *const requant = received((size_t)j->requant);
    int32_t *const scratch = room((size_t)j->scratch);
    int8_t *const output = j->in_place ? input : room((size_t)j->output);

    switch (j->kernel) {
    case GENERAL:
        depthwise_conv2d_s8(params, input, weights, bias, requant, scratch, j->origin, output);
        break;
    case THREE:
        depthwise3_s8(params, input, weights, bias, requant, scratch, j->origin, output);
        break;
    default:
        channelwise_s8(params, input, weights, bias, requant, output);
    }
    fwrite(output, 1, (size_t)j->output, stdout);
    fflush(stdout);
    if (output != input) {
        free(output);
    }
    free(params);
    free(input);
    free(weights);
    free(bias);
    free(requant);
    free(scratch);
}

int main(void)
{
    job next;

    while (fread(&next, sizeof next, 1, stdin) == 1) {
        run(&next);
    }
    return 0;
}
