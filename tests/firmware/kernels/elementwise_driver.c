/*
 * Runs operations without weights, one after the other, as standard input says: a request, then the parameters (or
 * the table), then the inputs. Every block has its exact size, so that AddressSanitizer sees what leaves it. With a lag
 * of 0 or more the output begins that many bytes before the first input, in the same block.
 */
#include <stdio.h>
#include <stdlib.h>

#include "kernels.h"

enum { ADD, ADD_RUN, MUL, MAX_POOL, AVG_POOL, UPSAMPLE, LOOKUP };

typedef struct {
    int32_t job, params_bytes, input1_bytes, input2_bytes, output_bytes, lag;
} request;

static void *block(int32_t bytes)
{
    void *const memory = malloc((size_t)(bytes > 0 ? bytes : 1));

    if (memory == NULL) {
        abort();
    }
    return memory;
}

static void fill(void *memory, int32_t bytes)
{
    if (fread(memory, 1, (size_t)bytes, stdin) != (size_t)bytes) {
        exit(1);
    }
}

static void compute(const request *wanted, const void *params, const int8_t *input1, const int8_t *input2,
                    int8_t *output)
{
    switch (wanted->job) {
    case ADD:
        add_s8((const add_s8_params *)params, input1, input2, output);
        break;
    case ADD_RUN:
        add_run_s8((const add_run_s8_params *)params, wanted->output_bytes, input1, input2, output);
        break;
    case MUL:
        mul_s8((const mul_s8_params *)params, input1, input2, output);
        break;
    case MAX_POOL:
        max_pool_s8((const window_params *)params, input1, output);
        break;
    case AVG_POOL:
        avg_pool_s8((const window_params *)params, input1, output);
        break;
    case UPSAMPLE:
        upsample_nearest_s8((const upsample_nearest_s8_params *)params, input1, output);
        break;
    default:
        lookup_s8((const int8_t *)params, wanted->output_bytes, input1, output);
        break;
    }
}

int main(void)
{
    request wanted;

    while (fread(&wanted, sizeof wanted, 1, stdin) == 1) {
        const int32_t lag = wanted.lag < 0 ? 0 : wanted.lag;
        const int32_t end1 = lag + wanted.input1_bytes;
        const int32_t shared = wanted.lag >= 0 && wanted.output_bytes > end1 ? wanted.output_bytes : end1;
        void *const params = block(wanted.params_bytes);
        int8_t *const memory = block(shared);
        int8_t *const input2 = block(wanted.input2_bytes);
        int8_t *const apart = block(wanted.output_bytes);
        int8_t *const output = wanted.lag < 0 ? apart : memory;

        fill(params, wanted.params_bytes);
        fill(memory + lag, wanted.input1_bytes);
        fill(input2, wanted.input2_bytes);
        compute(&wanted, params, memory + lag, input2, output);
        fwrite(output, 1, (size_t)wanted.output_bytes, stdout);
        fflush(stdout);
        free(params);
        free(memory);
        free(input2);
        free(apart);
    }
    return 0;
}
