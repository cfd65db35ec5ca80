/*
 * Copies the channels of a depthwise layer into planes (depthwise_planes.h), four at a time as long as there are four,
 * then one at a time, and hands each output channel to a kernel. Several outputs of an input channel share its plane.
 *
 * Where planes of the whole image would be too large, they hold a band of rows; the rows that the next band needs again
 * are moved up. So everything that a band reads is copied before any of its outputs is written, and an output of the
 * input's shape may lie exactly over it.
 *
 * Cost: 1.7 instructions for each element of four channels (16 values in 27), 4 for one of a single channel, and about
 * 90 for each strip.
 */
#include "depthwise_planes.h"

#include "dsp.h"

#define LANES 4

/* Where the two pixels of a strip's words come from; the step is 0 for a column of padding. */
typedef struct {
    const int8_t *first, *second;
    int32_t first_step, second_step;
} strip_source;

#if defined(__ARM_FEATURE_DSP)

/*
 * `count` words, at least 2, for each of four channels that lie side by side; those of the next channel are
 * `plane_bytes` on. Two words a turn, 27 instructions: halves of two pixels are packed before their bytes are sign
 * extended. An odd word at the end is made together with the one before it once more.
 *
 * r0-r3: where the words of the four channels go. r4-r7: the two columns and their steps. r8-r11: pixels.
 * r12, lr: two words.
 */
void depthwise_copy_four(int32_t *to, int32_t count, int32_t plane_bytes, const strip_source *source);

__asm__(".syntax unified\n"
        ".section .text.depthwise_copy_four,\"ax\",%progbits\n"
        ".global depthwise_copy_four\n"
        ".type depthwise_copy_four, %function\n"
        ".thumb_func\n"
        ".balign 4\n"
        "depthwise_copy_four:\n"
        "push {r4-r11, lr}\n"
        "ldm r3, {r4-r7}\n"
        "add r12, r0, r1, lsl #2\n"
        "subs r12, r12, #8\n"
        "push {r0, r12}\n"
        "add r1, r0, r2\n"
        "add r3, r1, r2, lsl #1\n"
        "add r2, r1, r2\n"
        "1:\n"
        "ldr r8, [r4]\n"
        "ldr r9, [r5]\n"
        "add r4, r4, r6\n"
        "add r5, r5, r7\n"
        "ldr r10, [r4]\n"
        "ldr r11, [r5]\n"
        "add r4, r4, r6\n"
        "add r5, r5, r7\n"
        "pkhbt r12, r8, r9, lsl #16\n"
        "pkhbt lr, r10, r11, lsl #16\n"
        "pkhtb r9, r9, r8, asr #16\n"
        "pkhtb r11, r11, r10, asr #16\n"
        "sxtb16 r8, r12\n"
        "sxtb16 r10, lr\n"
        "strd r8, r10, [r0], #8\n"
        "sxtb16 r12, r12, ror #8\n"
        "sxtb16 lr, lr, ror #8\n"
        "strd r12, lr, [r1], #8\n"
        "sxtb16 r8, r9\n"
        "sxtb16 r10, r11\n"
        "strd r8, r10, [r2], #8\n"
        "sxtb16 r9, r9, ror #8\n"
        "sxtb16 r11, r11, ror #8\n"
        "strd r9, r11, [r3], #8\n"
        "ldr r12, [sp, #4]\n"
        "cmp r0, r12\n"
        "bls 1b\n"
        "sub r12, r0, r12\n"
        "cmp r12, #8\n"
        "beq 2f\n"
        "subs r0, r0, #4\n"
        "subs r1, r1, #4\n"
        "subs r2, r2, #4\n"
        "subs r3, r3, #4\n"
        "subs r4, r4, r6\n"
        "subs r5, r5, r7\n"
        "b 1b\n"
        "2:\n"
        "add sp, sp, #8\n"
        "pop {r4-r11, pc}\n"
        ".size depthwise_copy_four, .-depthwise_copy_four\n"
        ".text\n");

#endif

/* `count` words of one channel. */
static void copy_one(int32_t *to, int32_t count, const strip_source *source)
{
    const int8_t *first = source->first, *second = source->second;

    ROLLED
    for (; count > 0; count--) {
        *to++ = (int32_t)pkhbt((uint32_t)*first, (uint32_t)*second);
        first += source->first_step;
        second += source->second_step;
    }
}

static void copy_words(int32_t *to, int32_t count, int32_t lanes, int32_t plane, strip_source *source)
{
#if defined(__ARM_FEATURE_DSP)
    if (lanes == LANES && count > 1) {
        depthwise_copy_four(to, count, 4 * plane, source);
        return;
    }
#endif
    for (; lanes > 0; lanes--) {
        copy_one(to, count, source);
        to += plane;
        /* Of padding there are as many bytes as channels. */
        source->first++;
        source->second++;
    }
}

static int32_t within(int32_t x, int32_t low, int32_t high)
{
    return x < low ? low : x > high ? high : x;
}

static int32_t is_inside(int32_t x, int32_t size)
{
    return (uint32_t)x < (uint32_t)size;
}

/* How many of the padded rows `part`, `part` + stride, ... lie above row `row` of the image. */
static int32_t words_above(const depthwise_conv2d_s8_params *p, int32_t part, int32_t row)
{
    return (row + p->pad_down - part + p->stride_down - 1) / p->stride_down;
}

/* Padding into words begin..end-1 of every strip of all channels, which are one after the other. */
static void pad_strips(const depthwise_conv2d_s8_params *p, int32_t lanes, int32_t *part, int32_t begin, int32_t end)
{
    const int32_t word = (int32_t)pkhbt((uint32_t)p->padding, (uint32_t)p->padding);

    for (int32_t strips = lanes * p->groups * p->group_strips; strips > 0; strips--) {
        ROLLED
        for (int32_t at = begin; at < end; at++) {
            part[at] = word;
        }
        part += p->stride_down * p->strip_rows;
    }
}

void depthwise_fill_strips(const depthwise_conv2d_s8_params *p, const int8_t *input, int32_t lanes, int32_t *planes,
                           int32_t origin, int32_t top, int32_t end)
{
    const int8_t padding[LANES] = {(int8_t)p->padding, (int8_t)p->padding, (int8_t)p->padding, (int8_t)p->padding};
    const int32_t strip_words = p->stride_down * p->strip_rows;
    const int32_t plane = p->groups * p->group_strips * strip_words;
    const int32_t step = p->stride_down * p->input_down;
    const int32_t begin = top > 0 ? p->kept_rows : 0;

    for (int32_t part = 0; part < p->stride_down; part++) {
        const int32_t low = within(words_above(p, part, 0) - top, begin, end);
        const int32_t count = within(words_above(p, part, p->size_down) - top, low, end) - low;
        const int8_t *const row = input + ((top + low) * p->stride_down + part - p->pad_down) * p->input_down;
        int32_t *to = planes + part * p->strip_rows;

        /* Padding stays where it is from channel to channel, unless another band comes there. */
        if (p->band_rows < p->rows) {
            if (begin < low) {
                pad_strips(p, lanes, to, begin, low);
            }
            if (low + count < end) {
                pad_strips(p, lanes, to, low + count, end);
            }
        }
        if (count == 0) {
            continue;
        }
        to += low;
        for (int32_t group = 0; group < p->groups; group++) {
            int32_t column = group * p->group_step + origin;

            for (int32_t strips = p->group_strips; strips > 0; strips--) {
                strip_source source = {padding, padding, 0, 0};

                if (is_inside(column, p->size_across)) {
                    source.first = row + in_ring(column, p->held_across) * p->input_across;
                    source.first_step = step;
                }
                if (is_inside(column + p->pair_step, p->size_across)) {
                    source.second = row + in_ring(column + p->pair_step, p->held_across) * p->input_across;
                    source.second_step = step;
                }
                /* Strips of nothing but padding are never written by a channel. */
                if ((source.first_step | source.second_step) != 0) {
                    copy_words(to, count, lanes, plane, &source);
                }
                to += strip_words;
                column += p->strip_step;
            }
        }
    }
}

/* What the next band needs again moves to the upper end of each part. */
static void keep_rows(const depthwise_conv2d_s8_params *p, int32_t lanes, int32_t *planes)
{
    for (int32_t parts = lanes * p->groups * p->group_strips * p->stride_down; parts > 0; parts--) {
        ROLLED
        for (int32_t word = 0; word < p->kept_rows; word++) {
            planes[word] = planes[word + p->band_rows];
        }
        planes += p->strip_rows;
    }
}

void depthwise_offsets(const depthwise_conv2d_s8_params *p, tap_pair *table)
{
    tap_pair *const end = table + p->table_words / 2;
    tap_pair *const middle = table + p->table_words / 2 / (1 + p->odd);
    const int32_t strip = p->stride_down * p->strip_rows;

    ROLLED
    for (tap_pair *pair = table; pair != end; pair++) {
        pair->offset = 0;
        pair->weights = 0;
    }
    for (tap_pair *half = table; half != end; half = half == middle ? end : middle) {
        tap_pair *pair = half;

        for (int32_t ky = 0; ky < p->kernel_down; ky++) {
            const int32_t row = ky * p->dilation_down;
            int32_t word = row % p->stride_down * p->strip_rows + row / p->stride_down;

            ROLLED
            for (int32_t i = 0; i < p->pairs; i++) {
                pair->offset = 4 * word;
                word += strip;
                pair++;
            }
        }
    }
}

void depthwise_over_planes(const depthwise_conv2d_s8_params *params, const int8_t *input, const int8_t *weights,
                           const int32_t *bias, const requant_s8 *requant, int32_t *scratch, int32_t origin,
                           int8_t *output, depthwise_plane_function *function)
{
    const depthwise_conv2d_s8_params *const p = params;
    const int32_t kernel = p->kernel_down * p->kernel_across;
    const int32_t plane_words = p->groups * p->group_strips * p->stride_down * p->strip_rows;
    int32_t *const planes = scratch + p->table_words;
    int32_t lanes = p->channels >= LANES ? LANES : 1;

    for (int32_t part = 0; part < p->stride_down; part++) {
        pad_strips(p, lanes, planes + part * p->strip_rows, 0, p->strip_rows);
    }
    for (int32_t channel = 0; channel < p->channels; channel += lanes) {
        const int32_t outputs = channel * p->channel_multiplier;

        lanes = p->channels - channel >= LANES ? LANES : 1;
        for (int32_t row = 0; row < p->rows; row += p->band_rows) {
            const int32_t rows = p->rows - row < p->band_rows ? p->rows - row : p->band_rows;
            depthwise_plane plane = {
                .words = planes,
                .weights = weights + outputs * kernel,
                .requant = requant + outputs,
                .table = scratch,
                .rows = rows,
                .output = output + row * p->output_down + outputs,
            };

            if (row > 0) {
                keep_rows(p, lanes, planes);
            }
            depthwise_fill_strips(p, input + channel, lanes, planes, origin, row, rows + p->kept_rows);
            for (int32_t lane = 0; lane < lanes; lane++) {
                for (int32_t i = 0; i < p->channel_multiplier; i++) {
                    plane.bias = bias[outputs + lane * p->channel_multiplier + i];
                    function(p, &plane);
                    plane.weights += kernel;
                    plane.requant++;
                    plane.output++;
                }
                plane.words += plane_words;
            }
        }
    }
}
