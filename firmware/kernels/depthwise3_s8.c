/*
 * Depthwise convolution 3x3, strides and dilations of 1: each channel on its own, several outputs of a channel allowed.
 *
 * Works on planes in scratch (depthwise_planes.h). A channel's nine weights stay in six registers as pairs: (w0, w1)
 * and (w1, w2) of each kernel row. With pixels 0 to 3 of a row in two words, the left output takes SMLAD and SMLABT,
 * the right one SMLATB and SMLAD: 4 instructions for 6 MACs.
 *
 * Tile: 2x2 outputs, and 4x1 in an odd column at the end; 59 instructions (63 where requantisation is
 * REQUANTIZE_SATURATING): 24 multiply, 4 load pixels two words at a time, 18 (22) requantise, 8 store. With copying to
 * planes 2.1 instructions per MAC for 16x16x64, 2.4 for 8x8x128. Rows at the end that make no tile are computed with
 * those before them once more. REQUANTIZE_GENERAL and cores without the DSP extension sum output by output.
 */
#include "depthwise_planes.h"
#include "dsp.h"

#define ROWS 3

/* In the order of the stack frame of the functions below. */
typedef struct {
    int32_t multiplier, rounding;
    int32_t bias, same_bias;
    int32_t shift;
    int8_t *output;
    int32_t fourth, second, third; /* from a tile's first output to the others */
    int32_t last;                  /* from the column's first tile to its last one, in bytes of a strip */
    int32_t strip;                 /* bytes from a strip to the next */
    int32_t word_turn;             /* from the end of a column to the start of the next one */
    int32_t output_turn;
    int8_t *end;                /* outputs of the column after the last one */
    uint32_t weights[2 * ROWS]; /* of each kernel row (w0, w1), (w1, w2) */
} frame3;

#if defined(__ARM_FEATURE_DSP)

void depthwise3_rectified(const int32_t *words, const frame3 *frame);
void depthwise3_saturating(const int32_t *words, const frame3 *frame);
void depthwise3_column_rectified(const int32_t *words, const frame3 *frame);
void depthwise3_column_saturating(const int32_t *words, const frame3 *frame);

/*
 * r0, r1: words of the left and the right strip. r2-r7: weights. r8-r11: outputs. r12, lr: words of two rows, and what
 * the frame, copied to the stack, is loaded into.
 */
#define REQUANTIZE(away_from_zero)                                                                                    \
    "ldrd r12, lr, [sp]\n"                                                                                            \
    "smmlar r8, r8, r12, r8\n"                                                                                        \
    "smmlar r9, r9, r12, r9\n"                                                                                        \
    "smmlar r10, r10, r12, r10\n"                                                                                     \
    "smmlar r11, r11, r12, r11\n" away_from_zero "ldr r12, [sp, #16]\n"                                               \
    "add r8, r8, lr\n"                                                                                                \
    "add r9, r9, lr\n"                                                                                                \
    "add r10, r10, lr\n"                                                                                              \
    "add r11, r11, lr\n"                                                                                              \
    "asr r8, r8, r12\n"                                                                                               \
    "asr r9, r9, r12\n"                                                                                               \
    "asr r10, r10, r12\n"                                                                                             \
    "asr r11, r11, r12\n"                                                                                             \
    "ssat r8, #8, r8\n"                                                                                               \
    "ssat r9, #8, r9\n"                                                                                               \
    "ssat r10, #8, r10\n"                                                                                             \
    "ssat r11, #8, r11\n"

/*
 * Tiles of outputs left, right, below left, below right. A column ends with the tile of its last two rows: where the
 * last step led one row beyond, it goes one back.
 */
#define PAIRS_OF_COLUMNS(name, away_from_zero)                                                                        \
    __asm__(".syntax unified\n"                                                                                       \
        ".section .text." #name ",\"ax\",%progbits\n"                                                                 \
        ".global " #name "\n"                                                                                         \
        ".type " #name ", %function\n"                                                                                \
        ".thumb_func\n"                                                                                               \
        ".balign 4\n" #name ":\n"                                                                                     \
        "push {r4-r11, lr}\n"                                                                                         \
        "add r12, r1, #40\n"                                                                                          \
        "ldm r12, {r2-r11}\n"                                                                                         \
        "push {r2-r11}\n"                                                                                             \
        "ldm r1, {r2-r11}\n"                                                                                          \
        "push {r2-r11}\n"                                                                                             \
        "add r12, sp, #56\n"                                                                                          \
        "ldm r12, {r2-r7}\n"                                                                                          \
        "ldr r12, [sp, #36]\n"                                                                                        \
        "add r12, r12, r0\n"                                                                                          \
        "str r12, [sp, #36]\n"                                                                                        \
        "ldr r1, [sp, #40]\n"                                                                                         \
        "add r1, r1, r0\n"                                                                                            \
        "1:\n"                                                                                                        \
        "ldrd r8, r9, [sp, #8]\n"                                                                                     \
        "ldrd r10, r11, [sp, #8]\n"                                                                                   \
        "ldrd r12, lr, [r0]\n"                                                                                        \
        "smlad r8, r12, r2, r8\n"                                                                                     \
        "smlatb r9, r12, r2, r9\n"                                                                                    \
        "smlad r8, lr, r4, r8\n"                                                                                      \
        "smlatb r9, lr, r4, r9\n"                                                                                     \
        "smlad r10, lr, r2, r10\n"                                                                                    \
        "smlatb r11, lr, r2, r11\n"                                                                                   \
        "ldrd r12, lr, [r0, #8]!\n"                                                                                   \
        "smlad r8, r12, r6, r8\n"                                                                                     \
        "smlatb r9, r12, r6, r9\n"                                                                                    \
        "smlad r10, r12, r4, r10\n"                                                                                   \
        "smlatb r11, r12, r4, r11\n"                                                                                  \
        "smlad r10, lr, r6, r10\n"                                                                                    \
        "smlatb r11, lr, r6, r11\n"                                                                                   \
        "ldrd r12, lr, [r1]\n"                                                                                        \
        "smlabt r8, r12, r3, r8\n"                                                                                    \
        "smlad r9, r12, r3, r9\n"                                                                                     \
        "smlabt r8, lr, r5, r8\n"                                                                                     \
        "smlad r9, lr, r5, r9\n"                                                                                      \
        "smlabt r10, lr, r3, r10\n"                                                                                   \
        "smlad r11, lr, r3, r11\n"                                                                                    \
        "ldrd r12, lr, [r1, #8]!\n"                                                                                   \
        "smlabt r8, r12, r7, r8\n"                                                                                    \
        "smlad r9, r12, r7, r9\n"                                                                                     \
        "smlabt r10, r12, r5, r10\n"                                                                                  \
        "smlad r11, r12, r5, r11\n"                                                                                   \
        "smlabt r10, lr, r7, r10\n"                                                                                   \
        "smlad r11, lr, r7, r11\n"                                                                                    \
        REQUANTIZE(away_from_zero)                                                                                    \
        "ldrd r12, lr, [sp, #20]\n"                                                                                   \
        "strb r11, [r12, lr]\n"                                                                                       \
        "ldrd lr, r11, [sp, #28]\n"                                                                                   \
        "strb r10, [r12, lr]\n"                                                                                       \
        "strb r9, [r12, r11]\n"                                                                                       \
        "strb r8, [r12]\n"                                                                                            \
        "add r12, r12, lr, lsl #1\n"                                                                                  \
        "str r12, [sp, #20]\n"                                                                                        \
        "ldr r8, [sp, #36]\n"                                                                                         \
        "cmp r0, r8\n"                                                                                                \
        "bls 1b\n"                                                                                                    \
        "sub r9, r0, r8\n"                                                                                            \
        "cmp r9, #8\n"                                                                                                \
        "beq 2f\n"                                                                                                    \
        "subs r0, r0, #4\n"                                                                                           \
        "subs r1, r1, #4\n"                                                                                           \
        "sub r12, r12, lr\n"                                                                                          \
        "str r12, [sp, #20]\n"                                                                                        \
        "b 1b\n"                                                                                                      \
        "2:\n"                                                                                                        \
        "ldrd r9, r10, [sp, #40]\n"                                                                                   \
        "add r8, r8, r9\n"                                                                                            \
        "str r8, [sp, #36]\n"                                                                                         \
        "add r0, r0, r10\n"                                                                                           \
        "add r1, r1, r10\n"                                                                                           \
        "ldrd r9, r10, [sp, #48]\n"                                                                                   \
        "add r12, r12, r9\n"                                                                                          \
        "str r12, [sp, #20]\n"                                                                                        \
        "cmp r12, r10\n"                                                                                              \
        "bne 1b\n"                                                                                                    \
        "add sp, sp, #80\n"                                                                                           \
        "pop {r4-r11, pc}\n"                                                                                          \
        ".size " #name ", .-" #name "\n"                                                                              \
        ".text\n")

/* Tiles of outputs below each other; `third` is of the third one. The last tile is that of the last four rows. */
#define ONE_COLUMN(name, away_from_zero)                                                                              \
    __asm__(".syntax unified\n"                                                                                       \
        ".section .text." #name ",\"ax\",%progbits\n"                                                                 \
        ".global " #name "\n"                                                                                         \
        ".type " #name ", %function\n"                                                                                \
        ".thumb_func\n"                                                                                               \
        ".balign 4\n" #name ":\n"                                                                                     \
        "push {r4-r11, lr}\n"                                                                                         \
        "add r12, r1, #40\n"                                                                                          \
        "ldm r12, {r2-r11}\n"                                                                                         \
        "push {r2-r11}\n"                                                                                             \
        "ldm r1, {r2-r11}\n"                                                                                          \
        "push {r2-r11}\n"                                                                                             \
        "add r12, sp, #56\n"                                                                                          \
        "ldm r12, {r2-r7}\n"                                                                                          \
        "ldr r12, [sp, #36]\n"                                                                                        \
        "add r12, r12, r0\n"                                                                                          \
        "str r12, [sp, #36]\n"                                                                                        \
        "ldr r1, [sp, #40]\n"                                                                                         \
        "add r1, r1, r0\n"                                                                                            \
        "1:\n"                                                                                                        \
        "ldrd r8, r9, [sp, #8]\n"                                                                                     \
        "ldrd r10, r11, [sp, #8]\n"                                                                                   \
        "ldrd r12, lr, [r0]\n"                                                                                        \
        "smlad r8, r12, r2, r8\n"                                                                                     \
        "smlad r8, lr, r4, r8\n"                                                                                      \
        "smlad r9, lr, r2, r9\n"                                                                                      \
        "ldrd r12, lr, [r0, #8]\n"                                                                                    \
        "smlad r8, r12, r6, r8\n"                                                                                     \
        "smlad r9, r12, r4, r9\n"                                                                                     \
        "smlad r10, r12, r2, r10\n"                                                                                   \
        "smlad r9, lr, r6, r9\n"                                                                                      \
        "smlad r10, lr, r4, r10\n"                                                                                    \
        "smlad r11, lr, r2, r11\n"                                                                                    \
        "ldrd r12, lr, [r0, #16]!\n"                                                                                  \
        "smlad r10, r12, r6, r10\n"                                                                                   \
        "smlad r11, r12, r4, r11\n"                                                                                   \
        "smlad r11, lr, r6, r11\n"                                                                                    \
        "ldrd r12, lr, [r1]\n"                                                                                        \
        "smlabt r8, r12, r3, r8\n"                                                                                    \
        "smlabt r8, lr, r5, r8\n"                                                                                     \
        "smlabt r9, lr, r3, r9\n"                                                                                     \
        "ldrd r12, lr, [r1, #8]\n"                                                                                    \
        "smlabt r8, r12, r7, r8\n"                                                                                    \
        "smlabt r9, r12, r5, r9\n"                                                                                    \
        "smlabt r10, r12, r3, r10\n"                                                                                  \
        "smlabt r9, lr, r7, r9\n"                                                                                     \
        "smlabt r10, lr, r5, r10\n"                                                                                   \
        "smlabt r11, lr, r3, r11\n"                                                                                   \
        "ldrd r12, lr, [r1, #16]!\n"                                                                                  \
        "smlabt r10, r12, r7, r10\n"                                                                                  \
        "smlabt r11, r12, r5, r11\n"                                                                                  \
        "smlabt r11, lr, r7, r11\n"                                                                                   \
        REQUANTIZE(away_from_zero)                                                                                    \
        "ldrd r12, lr, [sp, #20]\n"                                                                                   \
        "strb r11, [r12, lr]\n"                                                                                       \
        "ldrd lr, r11, [sp, #28]\n"                                                                                   \
        "strb r10, [r12, r11]\n"                                                                                      \
        "strb r9, [r12, lr]\n"                                                                                        \
        "strb r8, [r12]\n"                                                                                            \
        "add r12, r12, lr, lsl #2\n"                                                                                  \
        "str r12, [sp, #20]\n"                                                                                        \
        "ldr r8, [sp, #36]\n"                                                                                         \
        "cmp r0, r8\n"                                                                                                \
        "bls 1b\n"                                                                                                    \
        "sub r9, r0, r8\n"                                                                                            \
        "cmp r9, #16\n"                                                                                               \
        "beq 2f\n"                                                                                                    \
        "subs r0, r0, r9\n"                                                                                           \
        "subs r1, r1, r9\n"                                                                                           \
        "lsrs r9, r9, #2\n"                                                                                           \
        "mls r12, r9, lr, r12\n"                                                                                      \
        "str r12, [sp, #20]\n"                                                                                        \
        "b 1b\n"                                                                                                      \
        "2:\n"                                                                                                        \
        "add sp, sp, #80\n"                                                                                           \
        "pop {r4-r11, pc}\n"                                                                                          \
        ".size " #name ", .-" #name "\n"                                                                              \
        ".text\n")

#define AWAY_FROM_ZERO                                                                                                \
    "add r8, r8, r8, asr #31\n"                                                                                       \
    "add r9, r9, r9, asr #31\n"                                                                                       \
    "add r10, r10, r10, asr #31\n"                                                                                    \
    "add r11, r11, r11, asr #31\n"

PAIRS_OF_COLUMNS(depthwise3_rectified, "");
PAIRS_OF_COLUMNS(depthwise3_saturating, AWAY_FROM_ZERO);
ONE_COLUMN(depthwise3_column_rectified, "");
ONE_COLUMN(depthwise3_column_saturating, AWAY_FROM_ZERO);

static void in_tiles(const depthwise_conv2d_s8_params *p, const depthwise_plane *plane, frame3 *frame)
{
    const int32_t rows = plane->rows, across = p->output_across, pairs = p->columns / 2;
    const int32_t rectified = p->requantization.kind == REQUANTIZE_RECTIFIED;
    const int32_t down = p->output_down;

    frame->strip = 4 * p->strip_rows;
    frame->end = plane->output + 2 * pairs * across;
    if (pairs > 0) {
        /* What lies below the last row is written before the row above it, to the same place. */
        frame->second = rows > 1 ? down : 0;
        frame->third = across;
        frame->fourth = frame->second + across;
        frame->last = rows > 1 ? 4 * (rows - 2) : 0;
        frame->word_turn = 4 * (p->strip_rows - (rows > 1 ? rows : 2));
        frame->output_turn = 2 * across - (rows > 1 ? rows * down : 0);
        (rectified ? depthwise3_rectified : depthwise3_saturating)(plane->words, frame);
    }
    if (p->columns % 2 != 0) {
        frame->output = frame->end;
        frame->second = rows > 1 ? down : 0;
        frame->third = rows > 2 ? 2 * down : 0;
        frame->fourth = rows > 3 ? 3 * down : 0;
        frame->last = rows > 3 ? 4 * (rows - 4) : 0;
        (rectified ? depthwise3_column_rectified : depthwise3_column_saturating)(plane->words + pairs * p->strip_rows,
                                                                                 frame);
    }
}

#endif

static void one_by_one(const depthwise_conv2d_s8_params *p, const depthwise_plane *plane, const uint32_t *weights)
{
    for (int32_t x = 0; x < p->columns; x++) {
        const int32_t *words = plane->words + x / 2 * p->strip_rows;
        int8_t *output = plane->output + x * p->output_across;

        for (int32_t y = 0; y < plane->rows; y++) {
            int32_t sum = plane->bias;

            for (int32_t ky = 0; ky < ROWS; ky++) {
                const uint32_t left = (uint32_t)words[ky], right = (uint32_t)words[ky + p->strip_rows];
                const uint32_t w01 = weights[2 * ky], w12 = weights[2 * ky + 1];

                if (x % 2 == 0) {
                    sum = smlad(right & 0xFFFFu, w12 >> 16, smlad(left, w01, sum));
                } else {
                    sum = smlad(right, w12, smlad(left >> 16, w01 & 0xFFFFu, sum));
                }
            }
            *output = requantize_as(sum, plane->requant, &p->requantization);
            output += p->output_down;
            words++;
        }
    }
}

static void plane3(const depthwise_conv2d_s8_params *p, const depthwise_plane *plane)
{
    frame3 frame;

    ROLLED
    for (int32_t ky = 0; ky < ROWS; ky++) {
        const int8_t *const w = plane->weights + ROWS * ky;

        frame.weights[2 * ky] = pkhbt((uint32_t)w[0], (uint32_t)w[1]);
        frame.weights[2 * ky + 1] = pkhbt((uint32_t)w[1], (uint32_t)w[2]);
    }
#if defined(__ARM_FEATURE_DSP)
    if (p->requantization.kind != REQUANTIZE_GENERAL) {
        frame.multiplier = plane->requant->multiplier;
        frame.rounding = plane->requant->rounding;
        frame.shift = plane->requant->shift;
        frame.bias = plane->bias;
        frame.same_bias = plane->bias;
        frame.output = plane->output;
        in_tiles(p, plane, &frame);
        return;
    }
#endif
    one_by_one(p, plane, frame.weights);
}

void depthwise3_s8(const depthwise3_s8_params *params, const int8_t *input, const int8_t *weights, const int32_t *bias,
                   const requant_s8 *requant, int32_t *scratch, int32_t origin, int8_t *output)
{
    depthwise_over_planes(params, input, weights, bias, requant, scratch, origin, output, plane3);
}
