/*
 * Depthwise convolution 3x3, strides and dilations of 1, on cores without the Cortex-M's DSP extension: each channel
 * on its own, several outputs of a channel allowed.
 *
 * Works on planes in scratch (depthwise_planes.h), like depthwise3_s8.c. Tile: two outputs side by side, which share
 * the four pixels of each kernel row, two words. Products of lower halves take pixels out of words for nothing,
 * shifts take out the others: 12 instructions for the pixels, 9 loads of weights, 18 multiplications, 18 additions
 * for 18 MACs. Cost on an LX106: 3.3 instructions for a MAC, 33 for an output; a column alone at the end 4.4 for a
 * MAC.
 */
#include "depthwise_planes.h"
#include "halves.h"

#define TAPS 9

#if defined(__GNUC__)
#define APART __attribute__((noinline)) /* a function whose registers are its own */
#define INLINE inline __attribute__((always_inline))
#else
#define APART
#define INLINE inline
#endif

/* What a column of outputs is made of. */
typedef struct {
    const uint32_t *left, *right, *end; /* words of the two strips, and where the first one's end */
    const uint32_t *weights;
    requant_s8 how;
    const requantization *layer;
    uint32_t bias;
    int32_t down, across; /* from an output to the next ones */
} column;

/* An output in a layer that has to be requantised the long way. */
static APART int8_t put_general(uint32_t sum, const column *c)
{
    return requantize_general((int32_t)sum, &c->how, c->layer);
}

/* A kernel row's products, in an output and in the next one. */
static INLINE void add_row(uint32_t *sum, uint32_t *next_sum, uint32_t left, uint32_t right, const uint32_t *weights)
{
    const uint32_t second = left >> 16;

    *sum += multiply_signed_halves(left, weights[0]);
    *next_sum += multiply_signed_halves(second, weights[0]);
    *sum += multiply_signed_halves(second, weights[1]);
    *next_sum += multiply_signed_halves(right, weights[1]);
    *sum += multiply_signed_halves(right, weights[2]);
    *next_sum += multiply_signed_halves(right >> 16, weights[2]);
}

/* Two columns of outputs, or with `both` 0 the left one alone. */
static INLINE void compute(const column *c, int8_t *output, int32_t both)
{
    const uint32_t *left = c->left, *right = c->right;
    const uint32_t *const w = c->weights;
    const requant_s8 how = c->how;
    const int32_t is_general = c->layer->kind == REQUANTIZE_GENERAL;

    while (left != c->end) {
        uint32_t sum = c->bias, next_sum = c->bias;

        add_row(&sum, &next_sum, left[0], right[0], w);
        add_row(&sum, &next_sum, left[1], right[1], w + 3);
        add_row(&sum, &next_sum, left[2], right[2], w + 6);
        if (is_general) {
            *output = put_general(sum, c);
            if (both) {
                output[c->across] = put_general(next_sum, c);
            }
        } else {
            /* What rounds negative ties does no harm to rectified outputs: they are clamped either way. */
            *output = requantize_saturating((int32_t)sum, &how);
            if (both) {
                output[c->across] = requantize_saturating((int32_t)next_sum, &how);
            }
        }
        output += c->down;
        left++;
        right++;
    }
}

static APART void two_columns(const column *c, int8_t *output)
{
    compute(c, output, 1);
}

static APART void one_column(const column *c, int8_t *output)
{
    compute(c, output, 0);
}

static void plane3(const depthwise_conv2d_s8_params *p, const depthwise_plane *plane)
{
    const int32_t strip = p->strip_rows, pairs = p->columns / 2;
    const uint32_t *const words = (const uint32_t *)plane->words;
    int8_t *output = plane->output;
    uint32_t weights[TAPS];
    column c = {
        .left = words,
        .right = words + strip,
        .end = words + plane->rows,
        .weights = weights,
        .how = *plane->requant,
        .layer = &p->requantization,
        .bias = (uint32_t)plane->bias,
        .down = p->output_down,
        .across = p->output_across,
    };

    for (int32_t i = 0; i < TAPS; i++) {
        weights[i] = (uint32_t)plane->weights[i];
    }
    for (int32_t i = 0; i < pairs; i++) {
        two_columns(&c, output);
        c.left += strip;
        c.right += strip;
        c.end += strip;
        output += 2 * p->output_across;
    }
    if (p->columns % 2 != 0) {
        one_column(&c, output);
    }
}

void depthwise3_s8(const depthwise3_s8_params *params, const int8_t *input, const int8_t *weights, const int32_t *bias,
                   const requant_s8 *requant, int32_t *scratch, int32_t origin, int8_t *output)
{
    depthwise_over_planes(params, input, weights, bias, requant, scratch, origin, output, plane3);
}
