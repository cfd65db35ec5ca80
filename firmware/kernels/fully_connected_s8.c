/*
 * Dense layer over the whole input, flattened as it lies in memory, requantised per unit.
 *
 *   output[u] = requantise(bias[u] + sum over i of (input[i] + input_offset) * weights[u][i])
 *
 * Loops: unit, input. Cost: one MAC per weight; each weight is read once, so flash sets the speed, plus one
 * requantisation per unit.
 */
#include "fixed_point.h"
#include "kernels.h"

void fully_connected_s8(const fully_connected_s8_params *params, const int8_t *input, const int8_t *weights,
                        const int32_t *bias, const int32_t *multiplier, const int32_t *shift, int8_t *output)
{
    for (int32_t u = 0; u < params->output_size; u++) {
        int32_t acc = bias[u];

        for (int32_t i = 0; i < params->input_size; i++) {
            acc += (input[i] + params->input_offset) * weights[i];
        }
        weights += params->input_size;
        output[u] = requantize(acc, multiplier[u], shift[u], params->output_offset, params->act_min, params->act_max);
    }
}
