/*
 * Depthwise convolution with any kernel, stride and dilation: each channel on its own, several outputs of a channel
 * allowed.
 *
 * Works on planes in scratch (depthwise_planes.h). What an output column sums is a table in scratch: for each pair of
 * taps the offset of its first word in the plane and the two weights; a second table serves the columns that begin with
 * the second pixel of a strip. Offsets are worked out once, weights for each output channel.
 * REQUANTIZE_GENERAL sums output by output; cores without the DSP extension sum a tile, 6 instructions for two MACs.
 *
 * Tile: four outputs below each other, whose words lie below each other too: 36 instructions, and 7.7 for each pair of
 * taps (4 multiply), of which 3 are taken in a turn. With copying to planes 2.0 instructions per MAC for 5x5 on
 * 16x16x64, 4.5 for 3x3 with stride 2 on 32x32x32. A column whose rows are no multiple of four computes some of the
 * last ones twice.
 */
#include "depthwise_planes.h"
#include "dsp.h"

#define TILE_ROWS 4

#if defined(__ARM_FEATURE_DSP)

/* In the order of the stack frame of the functions below. */
typedef struct {
    int32_t multiplier, rounding;
    int32_t bias, same_bias;
    int32_t shift;
    int32_t rows[TILE_ROWS - 1]; /* from a tile's first output to the others, from top to bottom */
    int32_t tile;                /* to the next tile */
    int32_t last;                /* from the column's first tile to its last one, in bytes of a strip */
    const tap_pair *table, *table_end, *other_table, *other_end; /* of this column and of the next one */
    int32_t word_turn, other_turn; /* from the end of this column, and of the next one, to the start of the one after */
    int32_t output_turn;
    int8_t *end;     /* outputs of the column after the last one */
    int32_t last_at; /* room for the address that `last` leads to */
    int32_t unused;
} frame_any;

void depthwise_rectified(const int32_t *words, const frame_any *frame, int8_t *output);
void depthwise_saturating(const int32_t *words, const frame_any *frame, int8_t *output);

/*
 * r0: words of the tile's first row. r1, r12: table, its end. r2, r3: offset, then address, and weights of a pair of
 * taps. r4-r7: outputs. r8-r11: words. lr: where the first output goes. A column ends with the tile of its last rows:
 * where the last step led beyond its start, it goes back.
 */
#define TAP                                                                                                           \
    "ldrd r2, r3, [r1], #8\n"                                                                                         \
    "add r2, r2, r0\n"                                                                                                \
    "ldm r2, {r8-r11}\n"                                                                                              \
    "smlad r4, r8, r3, r4\n"                                                                                          \
    "smlad r5, r9, r3, r5\n"                                                                                          \
    "smlad r6, r10, r3, r6\n"                                                                                         \
    "smlad r7, r11, r3, r7\n"

#define DEPTHWISE(name, away_from_zero)                                                                               \
    __asm__(".syntax unified\n"                                                                                       \
            ".section .text." #name ",\"ax\",%progbits\n"                                                             \
            ".global " #name "\n"                                                                                     \
            ".type " #name ", %function\n"                                                                            \
            ".thumb_func\n"                                                                                           \
            ".balign 4\n" #name ":\n"                                                                                 \
            "push {r4-r11, lr}\n"                                                                                     \
            "mov lr, r2\n"                                                                                            \
            "add r12, r1, #40\n"                                                                                      \
            "ldm r12, {r2-r11}\n"                                                                                     \
            "push {r2-r11}\n"                                                                                         \
            "ldm r1, {r2-r11}\n"                                                                                      \
            "push {r2-r11}\n"                                                                                         \
            "1:\n"                                                                                                    \
            "ldr r2, [sp, #36]\n"                                                                                     \
            "add r2, r2, r0\n"                                                                                        \
            "str r2, [sp, #72]\n"                                                                                     \
            "2:\n"                                                                                                    \
            "ldrd r1, r12, [sp, #40]\n"                                                                               \
            "ldrd r4, r5, [sp, #8]\n"                                                                                 \
            "ldrd r6, r7, [sp, #8]\n"                                                                                 \
            "3:\n" TAP TAP TAP "cmp r1, r12\n"                                                                        \
            "bne 3b\n"                                                                                                \
            "ldrd r2, r3, [sp]\n"                                                                                     \
            "smmlar r4, r4, r2, r4\n"                                                                                 \
            "smmlar r5, r5, r2, r5\n"                                                                                 \
            "smmlar r6, r6, r2, r6\n"                                                                                 \
            "smmlar r7, r7, r2, r7\n" away_from_zero "ldr r2, [sp, #16]\n"                                            \
            "add r4, r4, r3\n"                                                                                        \
            "add r5, r5, r3\n"                                                                                        \
            "add r6, r6, r3\n"                                                                                        \
            "add r7, r7, r3\n"                                                                                        \
            "asr r4, r4, r2\n"                                                                                        \
            "asr r5, r5, r2\n"                                                                                        \
            "asr r6, r6, r2\n"                                                                                        \
            "asr r7, r7, r2\n"                                                                                        \
            "ssat r4, #8, r4\n"                                                                                       \
            "ssat r5, #8, r5\n"                                                                                       \
            "ssat r6, #8, r6\n"                                                                                       \
            "ssat r7, #8, r7\n"                                                                                       \
            "ldrd r2, r3, [sp, #20]\n"                                                                                \
            "ldrd r8, r9, [sp, #28]\n"                                                                                \
            "strb r7, [lr, r8]\n"                                                                                     \
            "strb r6, [lr, r3]\n"                                                                                     \
            "strb r5, [lr, r2]\n"                                                                                     \
            "strb r4, [lr]\n"                                                                                         \
            "add lr, lr, r9\n"                                                                                        \
            "adds r0, r0, #16\n"                                                                                      \
            "ldr r8, [sp, #72]\n"                                                                                     \
            "cmp r0, r8\n"                                                                                            \
            "bls 2b\n"                                                                                                \
            "sub r9, r0, r8\n"                                                                                        \
            "cmp r9, #16\n"                                                                                           \
            "beq 4f\n"                                                                                                \
            "subs r0, r0, r9\n"                                                                                       \
            "lsrs r9, r9, #2\n"                                                                                       \
            "mls lr, r9, r2, lr\n"                                                                                    \
            "b 2b\n"                                                                                                  \
            "4:\n"                                                                                                    \
            "ldrd r2, r3, [sp, #40]\n"                                                                                \
            "ldrd r4, r5, [sp, #48]\n"                                                                                \
            "strd r4, r5, [sp, #40]\n"                                                                                \
            "strd r2, r3, [sp, #48]\n"                                                                                \
            "ldrd r2, r3, [sp, #56]\n"                                                                                \
            "strd r3, r2, [sp, #56]\n"                                                                                \
            "adds r0, r0, r2\n"                                                                                       \
            "ldrd r2, r3, [sp, #64]\n"                                                                                \
            "add lr, lr, r2\n"                                                                                        \
            "cmp lr, r3\n"                                                                                            \
            "bne 1b\n"                                                                                                \
            "add sp, sp, #80\n"                                                                                       \
            "pop {r4-r11, pc}\n"                                                                                      \
            ".size " #name ", .-" #name "\n"                                                                          \
            ".text\n")

DEPTHWISE(depthwise_rectified, "");
DEPTHWISE(depthwise_saturating, "add r4, r4, r4, asr #31\n"
                                "add r5, r5, r5, asr #31\n"
                                "add r6, r6, r6, asr #31\n"
                                "add r7, r7, r7, asr #31\n");

static void in_tiles(const depthwise_conv2d_s8_params *p, const depthwise_plane *plane, const tap_pair *table,
                     const tap_pair *middle, const tap_pair *end)
{
    const int32_t rows = plane->rows, down = p->output_down;
    const int32_t strip = 4 * p->stride_down * p->strip_rows;
    const int32_t column = 4 * (rows > TILE_ROWS ? rows : TILE_ROWS); /* bytes that the tiles of a column go down */
    const frame_any frame = {
        .multiplier = plane->requant->multiplier,
        .rounding = plane->requant->rounding,
        .bias = plane->bias,
        .same_bias = plane->bias,
        .shift = plane->requant->shift,
        /* What is below the last row goes to the first one, which is written last. */
        .rows = {rows > 1 ? down : 0, rows > 2 ? 2 * down : 0, rows > 3 ? 3 * down : 0},
        .tile = rows > 3 ? 4 * down : 0,
        .last = column - 4 * TILE_ROWS,
        .table = table,
        .table_end = middle,
        .other_table = p->odd != 0 ? middle : table,
        .other_end = p->odd != 0 ? end : middle,
        .word_turn = p->step_even * strip - column,
        .other_turn = p->step_odd * strip - column,
        .output_turn = p->output_across - (rows > 3 ? rows * down : 0),
        .end = plane->output + p->columns * p->output_across,
    };

    if (p->requantization.kind == REQUANTIZE_RECTIFIED) {
        depthwise_rectified(plane->words, &frame, plane->output);
    } else {
        depthwise_saturating(plane->words, &frame, plane->output);
    }
}

#endif

#if defined(__ARM_FEATURE_DSP)

static void one_by_one(const depthwise_conv2d_s8_params *p, const depthwise_plane *plane, const tap_pair *table,
                       const tap_pair *middle, const tap_pair *end)
{
    const int32_t *strip = plane->words;

    for (int32_t x = 0; x < p->columns; x++) {
        const int32_t second = x & p->odd;
        int8_t *output = plane->output + x * p->output_across;

        for (int32_t y = 0; y < plane->rows; y++) {
            int32_t sum = plane->bias;

            ROLLED
            for (const tap_pair *pair = second ? middle : table; pair != (second ? end : middle); pair++) {
                sum = smlad((uint32_t)strip[pair->offset / 4 + y], pair->weights, sum);
            }
            *output = requantize_as(sum, plane->requant, &p->requantization);
            output += p->output_down;
        }
        strip += (x % 2 == 0 ? p->step_even : p->step_odd) * p->stride_down * p->strip_rows;
    }
}

#else

#if defined(__GNUC__)
#define APART __attribute__((noinline)) /* a function whose registers are its own */
#else
#define APART
#endif

/* Adds to the sums of TILE_ROWS outputs, one below the other, the products of their words and all pairs of weights. */
static APART void sum_rows(int32_t *sums, const int32_t *words, const tap_pair *pair, const tap_pair *end)
{
    int32_t first = sums[0], second = sums[1], third = sums[2], fourth = sums[3];

    ROLLED
    for (; pair != end; pair++) {
        const int32_t *const at = words + (uint32_t)pair->offset / 4;
        const uint32_t weights = pair->weights;

        first = smlad((uint32_t)at[0], weights, first);
        second = smlad((uint32_t)at[1], weights, second);
        third = smlad((uint32_t)at[2], weights, third);
        fourth = smlad((uint32_t)at[3], weights, fourth);
    }
    sums[0] = first;
    sums[1] = second;
    sums[2] = third;
    sums[3] = fourth;
}

/* An output in a layer that has to be requantised the long way. */
static APART int8_t put_general(int32_t sum, const requant_s8 *how, const requantization *layer)
{
    return requantize_general(sum, how, layer);
}

static void one_by_one(const depthwise_conv2d_s8_params *p, const depthwise_plane *plane, const tap_pair *table,
                       const tap_pair *middle, const tap_pair *end)
{
    const int32_t *strip = plane->words;
    const int32_t is_general = p->requantization.kind == REQUANTIZE_GENERAL;
    const requant_s8 how = *plane->requant;
    /* Rows at the end that make no tile are computed with those before them once more; strips hold a tile at least. */
    const int32_t last = plane->rows > TILE_ROWS ? plane->rows - TILE_ROWS : 0;

    for (int32_t x = 0; x < p->columns; x++) {
        const int32_t second = x & p->odd;
        int8_t *const output = plane->output + x * p->output_across;

        for (int32_t row = 0; row < plane->rows; row += TILE_ROWS) {
            const int32_t top = row < last ? row : last;
            int8_t *to;
            int32_t sums[TILE_ROWS] = {plane->bias, plane->bias, plane->bias, plane->bias};

            sum_rows(sums, strip + top, second ? middle : table, second ? end : middle);
            to = output + top * p->output_down;
            for (int32_t i = 0; i < TILE_ROWS && i < plane->rows; i++) {
                /* What rounds negative ties does no harm to rectified outputs: they are clamped either way. */
                *to = is_general ? put_general(sums[i], &how, &p->requantization)
                                 : requantize_saturating(sums[i], &how);
                to += p->output_down;
            }
        }
        strip += (x % 2 == 0 ? p->step_even : p->step_odd) * p->stride_down * p->strip_rows;
    }
}

#endif

/*
 * The weights of each kernel row in pairs, the first of them (0, w0) where `alone` is 1, otherwise (w0, w1). What is
 * not written stays 0.
 */
static void pair_up(const depthwise_conv2d_s8_params *p, const int8_t *weights, int32_t alone, tap_pair *table)
{
    for (int32_t rows = p->kernel_down; rows > 0; rows--) {
        const int8_t *const end = weights + p->kernel_across;
        tap_pair *pair = table;

        if (alone != 0) {
            pair->weights = pkhbt(0, (uint32_t)*weights++);
            pair++;
        }
        ROLLED
        for (; weights < end - 1; weights += 2) {
            pair->weights = pkhbt((uint32_t)weights[0], (uint32_t)weights[1]);
            pair++;
        }
        if (weights < end) {
            pair->weights = pkhbt((uint32_t)*weights++, 0);
        }
        table += p->pairs;
    }
}

static void plane_any(const depthwise_conv2d_s8_params *p, const depthwise_plane *plane)
{
    tap_pair *const table = (tap_pair *)plane->table;
    tap_pair *const end = table + p->table_words / 2;
    tap_pair *const middle = table + p->table_words / 2 / (1 + p->odd);

    pair_up(p, plane->weights, 0, table);
    if (p->odd != 0) {
        pair_up(p, plane->weights, 1, middle);
    }
#if defined(__ARM_FEATURE_DSP)
    if (p->requantization.kind != REQUANTIZE_GENERAL) {
        in_tiles(p, plane, table, middle, end);
        return;
    }
#endif
    one_by_one(p, plane, table, middle, end);
}

void depthwise_conv2d_s8(const depthwise_conv2d_s8_params *params, const int8_t *input, const int8_t *weights,
                         const int32_t *bias, const requant_s8 *requant, int32_t *scratch, int32_t origin,
                         int8_t *output)
{
    depthwise_offsets(params, (tap_pair *)scratch);
    depthwise_over_planes(params, input, weights, bias, requant, scratch, origin, output, plane_any);
}
