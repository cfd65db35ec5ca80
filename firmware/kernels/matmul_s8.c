/*
 * Four pixels times all filters, requantised: matmul_s8.h's functions in the layouts that the DSP extension wants.
 *
 * For every step of four inputs k0..k3 the expanded pixels are four words of the pixels' halves (k0, k2), then four of
 * their (k1, k3), the lower input in the lower half. firmware/packing.py says how the weights lie.
 *
 *   output of filter f at pixel p = requantise(bias[f] + sum over k of pixel[p][k] * weights[f][k])
 *
 * Tile: four pixels and two filters, so eight sums. With the DSP extension half a step (two inputs of each pixel) is
 *
 *   one word of weights loaded, expanded by two SXTB16; twice two pixels' words loaded and four SMLAD:
 *   14 instructions, 17 cycles for 16 MACs (with LDRD for the first two words 13 and 18: loads next to each other take
 *   one cycle less).
 *
 * Eight half-steps make a round of the loop, entered where the rest of their number begins; a round's end costs three
 * instructions. All registers but the stack pointer are in use: a compiler would spill, so this is assembly as a whole.
 * Cost: 0.9 instructions for a MAC; for a group of two filters (eight outputs) about 60 in addition, of them five for
 * each output (rectified; saturating: six); for each tile about 40.
 */
#include "matmul_s8.h"

#define PIXELS MATMUL_PIXELS

#if defined(__ARM_FEATURE_DSP)

/* What the assembly keeps on the stack of where the outputs go. */
typedef struct {
    int8_t *output;
    int32_t offsets[PIXELS - 1];
} places;

void matmul_requantize_general(const int32_t *sums, const requant_s8 *filter, places *to, const requantization *layer);

/* One filter's outputs at four pixels, for layers that have to be requantised the long way. */
void matmul_requantize_general(const int32_t *sums, const requant_s8 *filter, places *to, const requantization *layer)
{
    int8_t *const output = to->output;

    output[0] = requantize_general(sums[0], filter, layer);
    for (int32_t i = 1; i < PIXELS; i++) {
        output[to->offsets[i - 1]] = requantize_general(sums[i], filter, layer);
    }
    to->output = output + 1;
}

/*
 * r0-r3: sums of the first filter at pixels 0..3; r4-r7: of the second. r12: expanded pixels; lr: stream of filters.
 * r8, r9: two pixels' inputs; r10: weights, then the second filter's; r11: the first filter's.
 */
#define HALF_STEP                \
    "ldr.w r10, [lr], #4\n"      \
    "ldr.w r8, [r12], #4\n"      \
    "ldr.w r9, [r12], #4\n"      \
    "sxtb16 r11, r10\n"          \
    "sxtb16 r10, r10, ror #8\n"  \
    "smlad r0, r8, r11, r0\n"    \
    "smlad r4, r8, r10, r4\n"    \
    "smlad r1, r9, r11, r1\n"    \
    "smlad r5, r9, r10, r5\n"    \
    "ldrd r8, r9, [r12], #8\n"   \
    "smlad r2, r8, r11, r2\n"    \
    "smlad r6, r8, r10, r6\n"    \
    "smlad r3, r9, r11, r3\n"    \
    "smlad r7, r9, r10, r7\n"
#define HALF_STEP_BYTES "56"

/*
 * Macros of the assembler. rectified and saturated: a sum y to an output value, by multiplier m, rounding r, shift s.
 * stored: four outputs; r8: where, one further afterwards; r9-r11: offsets.
 */
#define MACROS                             \
    ".macro rectified y, m, r, s\n"        \
    "smmlar \\y, \\y, \\m, \\y\n"           \
    "add \\y, \\y, \\r\n"                  \
    "asr \\y, \\y, \\s\n"                  \
    "ssat \\y, #8, \\y\n"                  \
    ".endm\n"                              \
    ".macro saturated y, m, r, s\n"        \
    "smmlar \\y, \\y, \\m, \\y\n"           \
    "add \\y, \\y, \\y, asr #31\n"         \
    "add \\y, \\y, \\r\n"                  \
    "asr \\y, \\y, \\s\n"                  \
    "ssat \\y, #8, \\y\n"                  \
    ".endm\n"                              \
    ".macro stored y0, y1, y2, y3\n"       \
    "strb \\y1, [r8, r9]\n"               \
    "strb \\y2, [r8, r10]\n"              \
    "strb \\y3, [r8, r11]\n"              \
    "strb \\y0, [r8], #1\n"               \
    ".endm\n"
#define NO_MACROS ".purgem rectified\n.purgem saturated\n.purgem stored\n"

#define REQUANTIZE_PAIR(how)                                              \
    "ldm lr!, {r8, r9, r10}\n"                                            \
    how " r0, r8, r9, r10\n" how " r1, r8, r9, r10\n"                     \
    how " r2, r8, r9, r10\n" how " r3, r8, r9, r10\n"                     \
    "ldm sp, {r8, r9, r10, r11}\n"                                        \
    "stored r0, r1, r2, r3\n"                                             \
    "ldm lr!, {r0, r1, r2}\n"                                             \
    how " r4, r0, r1, r2\n" how " r5, r0, r1, r2\n"                       \
    how " r6, r0, r1, r2\n" how " r7, r0, r1, r2\n"                       \
    "stored r4, r5, r6, r7\n"                                             \
    "str r8, [sp]\n"

/* Places in the frame. The first four are `places`. */
#define EXPANDED "16" /* where the expanded pixels begin, and at + 4 where they end */
#define EXPANDED_END "20"
#define ENTRY "24"     /* into the loop, behind the first half-step */
#define REQUANTIZE "28" /* how sums become outputs */
#define PAIRS_END "32" /* where the outputs of the pairs of filters end */
#define ALONE "36"     /* whether a filter is left over */
#define LAYER "40"
#define FRAME "44"

__asm__(".pushsection .text.matmul_s8, \"ax\", %progbits\n"
        ".syntax unified\n"
        ".thumb\n"
        MACROS
        ".balign 4\n"
        ".global matmul_s8\n"
        ".thumb_func\n"
        ".type matmul_s8, %function\n"
        "matmul_s8:\n"
        "push {r4-r11, lr}\n"
        "sub sp, #" FRAME "\n"
        "mov lr, r2\n"
        "ldm r0, {r4-r9}\n" /* steps, filters, three offsets, layer */
        "strd r3, r6, [sp]\n"
        "strd r7, r8, [sp, #8]\n"
        "add r12, r1, r4, lsl #5\n" /* a step of four pixels is 32 bytes */
        "strd r1, r12, [sp, #" EXPANDED "]\n"
        /* Of the 2 * steps - 1 half-steps in the loop, the first round takes what eight leave. */
        "lsl r4, r4, #1\n"
        "sub r4, r4, #1\n"
        "and r4, r4, #7\n"
        "rsb r4, r4, #8\n"
        "mov r6, #" HALF_STEP_BYTES "\n"
        "adr.w r7, .Lmatmul_round\n"
        "mla r4, r4, r6, r7\n"
        "orr r4, r4, #1\n" /* Thumb code */
        "str r4, [sp, #" ENTRY "]\n"
        "ldr r6, [r9]\n"
        "adr.w r7, .Lmatmul_general\n"
        "cmp r6, #1\n"
        "it eq\n"
        "adreq.w r7, .Lmatmul_saturating\n"
        "it gt\n"
        "adrgt.w r7, .Lmatmul_rectified\n"
        "orr r7, r7, #1\n"
        "str r7, [sp, #" REQUANTIZE "]\n"
        "and r6, r5, #1\n"
        "sub r5, r5, r6\n"
        "add r5, r5, r3\n"
        "strd r5, r6, [sp, #" PAIRS_END "]\n"
        "str r9, [sp, #" LAYER "]\n"
        "cmp r5, r3\n"
        "beq .Lmatmul_alone\n"

        ".Lmatmul_pair:\n"
        "ldr.w r12, [sp, #" EXPANDED "]\n"
        "ldm lr!, {r3, r7, r10}\n" /* two biases and the first weights */
        "ldrd r8, r9, [r12], #8\n"
        "sxtb16 r11, r10\n"
        "sxtb16 r10, r10, ror #8\n"
        "smlad r0, r8, r11, r3\n"
        "smlad r4, r8, r10, r7\n"
        "smlad r1, r9, r11, r3\n"
        "smlad r5, r9, r10, r7\n"
        "ldrd r8, r9, [r12], #8\n"
        "smlad r2, r8, r11, r3\n"
        "smlad r6, r8, r10, r7\n"
        "smlad r3, r9, r11, r3\n"
        "smlad r7, r9, r10, r7\n"
        "ldr.w pc, [sp, #" ENTRY "]\n"

        ".balign 4\n"
        ".Lmatmul_round:\n"
        ".rept 8\n"
        HALF_STEP
        ".endr\n"
        "ldr.w r8, [sp, #" EXPANDED_END "]\n"
        "cmp r12, r8\n"
        "bne .Lmatmul_round\n"
        "ldr.w pc, [sp, #" REQUANTIZE "]\n"

        ".balign 4\n"
        ".Lmatmul_saturating:\n"
        REQUANTIZE_PAIR("saturated")
        "b .Lmatmul_next\n"

        ".balign 4\n"
        ".Lmatmul_general:\n"
        "sub sp, #32\n"
        "stm sp, {r0-r7}\n"
        "mov r8, lr\n"
        "mov r0, sp\n"
        "mov r1, lr\n"
        "add r2, sp, #32\n"
        "ldr r3, [sp, #32 + " LAYER "]\n"
        "bl matmul_requantize_general\n"
        "add r0, sp, #16\n"
        "add r1, r8, #12\n"
        "add r2, sp, #32\n"
        "ldr r3, [sp, #32 + " LAYER "]\n"
        "bl matmul_requantize_general\n"
        "add lr, r8, #24\n"
        "add sp, #32\n"
        "ldr.w r8, [sp]\n"
        "b .Lmatmul_next\n"

        ".balign 4\n"
        ".Lmatmul_rectified:\n"
        REQUANTIZE_PAIR("rectified")

        ".Lmatmul_next:\n"
        "ldr.w r12, [sp, #" PAIRS_END "]\n"
        "cmp r8, r12\n"
        "bne .Lmatmul_pair\n"

        ".Lmatmul_alone:\n"
        "ldr r0, [sp, #" ALONE "]\n"
        "cmp r0, #0\n"
        "beq .Lmatmul_end\n"
        "ldrd r12, r7, [sp, #" EXPANDED "]\n"
        "ldr r0, [lr], #4\n"
        "mov r1, r0\n"
        "mov r2, r0\n"
        "mov r3, r0\n"
        /* A step at a time, 17 instructions for 16 MACs. */
        ".Lmatmul_alone_step:\n"
        "ldr.w r10, [lr], #4\n"
        "ldrd r8, r9, [r12], #8\n"
        "sxtb16 r11, r10\n"
        "sxtb16 r10, r10, ror #8\n"
        "smlad r0, r8, r11, r0\n"
        "smlad r1, r9, r11, r1\n"
        "ldrd r8, r9, [r12], #8\n"
        "smlad r2, r8, r11, r2\n"
        "smlad r3, r9, r11, r3\n"
        "ldrd r8, r9, [r12], #8\n"
        "smlad r0, r8, r10, r0\n"
        "smlad r1, r9, r10, r1\n"
        "ldrd r8, r9, [r12], #8\n"
        "smlad r2, r8, r10, r2\n"
        "smlad r3, r9, r10, r3\n"
        "cmp r12, r7\n"
        "bne .Lmatmul_alone_step\n"
        "ldr r4, [sp, #" LAYER "]\n"
        "ldr r5, [r4]\n"
        "cmp r5, #0\n"
        "beq .Lmatmul_alone_general\n"
        /* What rounds negative ties does no harm to rectified outputs: they are clamped either way. */
        "ldm lr, {r8, r9, r10}\n"
        "saturated r0, r8, r9, r10\n"
        "saturated r1, r8, r9, r10\n"
        "saturated r2, r8, r9, r10\n"
        "saturated r3, r8, r9, r10\n"
        "ldm sp, {r8, r9, r10, r11}\n"
        "stored r0, r1, r2, r3\n"
        ".Lmatmul_end:\n"
        "add sp, #" FRAME "\n"
        "pop {r4-r11, pc}\n"

        ".Lmatmul_alone_general:\n"
        "mov r5, sp\n"
        "sub sp, #16\n"
        "stm sp, {r0-r3}\n"
        "mov r0, sp\n"
        "mov r1, lr\n"
        "mov r2, r5\n"
        "mov r3, r4\n"
        "bl matmul_requantize_general\n"
        "add sp, #16 + " FRAME "\n"
        "pop {r4-r11, pc}\n"
        ".size matmul_s8, . - matmul_s8\n"
        NO_MACROS
        ".popsection\n");

void matmul_expand_words(uint32_t *expanded, const int8_t *const *pixels, int32_t words);

/* Whole words of four inputs, `words` from each pixel, at least one: 15 instructions for 16 values. */
__asm__(".pushsection .text.matmul_expand_words, \"ax\", %progbits\n"
        ".syntax unified\n"
        ".thumb\n"
        ".balign 4\n"
        ".global matmul_expand_words\n"
        ".thumb_func\n"
        ".type matmul_expand_words, %function\n"
        "matmul_expand_words:\n"
        "push {r4-r11, lr}\n"
        "mov lr, r2\n"
        "ldm r1, {r1, r2, r3, r12}\n"
        ".Lmatmul_expand_word:\n"
        "ldr.w r8, [r1], #4\n"
        "ldr.w r9, [r2], #4\n"
        "ldr.w r10, [r3], #4\n"
        "ldr.w r11, [r12], #4\n"
        "sxtb16 r4, r8\n"
        "sxtb16 r5, r9\n"
        "sxtb16 r6, r10\n"
        "sxtb16 r7, r11\n"
        "sxtb16 r8, r8, ror #8\n"
        "sxtb16 r9, r9, ror #8\n"
        "sxtb16 r10, r10, ror #8\n"
        "sxtb16 r11, r11, ror #8\n"
        "stm r0!, {r4-r11}\n"
        "subs lr, lr, #1\n"
        "bne .Lmatmul_expand_word\n"
        "pop {r4-r11, pc}\n"
        ".size matmul_expand_words, . - matmul_expand_words\n"
        ".popsection\n");

#else

/* Halves and bytes of words, signed; 0 is the lowest. */
static int32_t half_of(uint32_t word, int32_t index)
{
    return (int16_t)(uint16_t)(word >> (16 * index));
}

static int32_t byte_of(int32_t word, int32_t index)
{
    return (int8_t)(uint8_t)((uint32_t)word >> (8 * index));
}

/* The sum of one filter at one pixel; words of weights lie `stride` apart, its bytes at `lane` and two further. */
static int32_t sum_pair_filter(const uint32_t *pixel, const int32_t *weights, int32_t lane, int32_t bias,
                               int32_t half_steps)
{
    uint32_t sum = (uint32_t)bias;

    for (int32_t i = 0; i < half_steps; i++) {
        sum += (uint32_t)(half_of(*pixel, 0) * byte_of(weights[i], lane));
        sum += (uint32_t)(half_of(*pixel, 1) * byte_of(weights[i], lane + 2));
        pixel += PIXELS;
    }
    return (int32_t)sum;
}

/* Likewise for the filter left over, whose four weights of a step are in one word. */
static int32_t sum_lone_filter(const uint32_t *pixel, const int32_t *weights, int32_t bias, int32_t half_steps)
{
    uint32_t sum = (uint32_t)bias;

    for (int32_t i = 0; i < half_steps; i++) {
        sum += (uint32_t)(half_of(*pixel, 0) * byte_of(weights[i / 2], i % 2));
        sum += (uint32_t)(half_of(*pixel, 1) * byte_of(weights[i / 2], i % 2 + 2));
        pixel += PIXELS;
    }
    return (int32_t)sum;
}

static requant_s8 requant_of(const int32_t *words)
{
    const requant_s8 filter = {words[0], words[1], words[2]};

    return filter;
}

void matmul_s8(const matmul_s8_params *params, const uint32_t *expanded, const int32_t *filters, int8_t *output)
{
    const int32_t half_steps = 2 * params->steps;

    for (int32_t f = 0; f < params->filters; f++) {
        const int32_t alone = f == params->filters - 1 && params->filters % 2 == 1;
        const int32_t lane = f % 2;
        const int32_t *const weights = filters + (alone ? 1 : 2);
        const int32_t *const after = weights + (alone ? params->steps : half_steps);
        const requant_s8 filter = requant_of(after + 3 * lane);

        for (int32_t p = 0; p < PIXELS; p++) {
            const int32_t sum = alone ? sum_lone_filter(expanded + p, weights, filters[0], half_steps)
                                      : sum_pair_filter(expanded + p, weights, lane, filters[lane], half_steps);

            output[p == 0 ? 0 : params->offsets[p - 1]] = requantize_as(sum, &filter, params->layer);
        }
        output++;
        if (lane == 1) {
            filters = after + 6;
        }
    }
}

#endif

/* Bytes 0 and 2, or with `odd` 1 and 3, of `count` bytes (missing ones as 0) as halves of a word. */
static uint32_t halves(const int8_t *bytes, int32_t count, int32_t odd)
{
    const uint32_t low = odd < count ? (uint16_t)bytes[odd] : 0u;
    const uint32_t high = odd + 2 < count ? (uint16_t)bytes[odd + 2] : 0u;

    return low | high << 16;
}

void expand_pixel_s8(uint32_t *expanded, int32_t index, const int8_t *pixel, int32_t inputs)
{
    expanded += index;
#if defined(__ARM_FEATURE_DSP)
    for (; inputs >= 2 * MATMUL_STEP; inputs -= 2 * MATMUL_STEP) {
        const uint32_t first = load_word(pixel), second = load_word(pixel + MATMUL_STEP);

        expanded[0] = sxtb16(first);
        expanded[PIXELS] = sxtb16_odd(first);
        expanded[2 * PIXELS] = sxtb16(second);
        expanded[3 * PIXELS] = sxtb16_odd(second);
        pixel += 2 * MATMUL_STEP;
        expanded += 4 * PIXELS;
    }
    if (inputs >= MATMUL_STEP) {
        const uint32_t word = load_word(pixel);

        expanded[0] = sxtb16(word);
        expanded[PIXELS] = sxtb16_odd(word);
        pixel += MATMUL_STEP;
        expanded += 2 * PIXELS;
        inputs -= MATMUL_STEP;
    }
#endif
    for (; inputs > 0; inputs -= MATMUL_STEP) {
        expanded[0] = halves(pixel, inputs, 0);
        expanded[PIXELS] = halves(pixel, inputs, 1);
        pixel += MATMUL_STEP;
        expanded += 2 * PIXELS;
    }
}

void expand_s8(uint32_t *expanded, const int8_t *const *pixels, int32_t inputs)
{
    int32_t done = 0;

#if defined(__ARM_FEATURE_DSP)
    if (inputs >= MATMUL_STEP) {
        matmul_expand_words(expanded, pixels, inputs / MATMUL_STEP);
        done = inputs / MATMUL_STEP * MATMUL_STEP;
    }
#endif
    if (done < inputs) {
        for (int32_t p = 0; p < PIXELS; p++) {
            expand_pixel_s8(expanded + MATMUL_WORDS(done), p, pixels[p] + done, inputs - done);
        }
    }
}

/* `count` words, `step` words apart, of two halves that are both `value`. */
static void pad(uint32_t *expanded, int32_t value, int32_t count, int32_t step)
{
    const uint32_t half = (uint16_t)value;

    for (int32_t i = 0; i < count; i++) {
        expanded[i * step] = half | half << 16;
    }
}

void pad_s8(uint32_t *expanded, int32_t value, int32_t inputs)
{
    pad(expanded, value, MATMUL_WORDS(inputs), 1);
}

void pad_pixel_s8(uint32_t *expanded, int32_t index, int32_t value, int32_t inputs)
{
    pad(expanded + index, value, MATMUL_WORDS(inputs) / PIXELS, PIXELS);
}
