/*
 * Convolution with a kernel of one pixel, stride 1, requantised per filter.
 *
 *   output[p][f] = requantise(bias[f] + sum over c of input[p][c] * weights[f][c])
 *
 * pointwise.h says in which order. Cost: that of matmul_s8.c, and about one instruction for each input value of a pixel.
 */
#include "pointwise.h"

void pointwise_s8(const pointwise_s8_params *params, const int8_t *input, const int32_t *filters, int32_t *scratch,
                  int32_t pixels, int8_t *output)
{
    pointwise(params, input, filters, scratch, pixels, output, matmul_s8);
}
