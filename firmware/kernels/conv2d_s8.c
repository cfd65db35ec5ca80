/*
 * Convolution over all input channels, any stride, dilation and padding, requantised per filter.
 *
 *   output[y][x][f] = requantise(bias[f] + sum over ky, kx, c of
 *       input[y*stride - pad + ky*dilation][likewise x, kx][c] * weights[f][ky][kx][c])
 *
 * where what lies outside of the image is `padding`, the input's zero point, which the biases account for.
 *
 * Four output positions at a time, in the order of memory: their patches of the image are expanded to halves in
 * scratch and multiplied with all filters (matmul_s8.c). The taps of a kernel row and their channels lie side by side in
 * the image and make one run; with dilation every tap is a run. Where four patches lie in a row of outputs, inside of
 * the image from left to right, and a run is a whole number of words, they are expanded from the image at once. Elsewhere
 * one patch after the other is expanded, from the image if its runs are whole words inside of it; else from a copy with
 * its padding.
 * Cost: that of matmul_s8.c, and for each value of a patch about one instruction where four are expanded at once, two
 * where one is, up to ten with a copy of short runs.
 */
#include "kernels.h"
#include "matmul_s8.h"

/* A convolution's geometry, and its place. */
typedef struct {
    const conv2d_s8_params *params;
    const int8_t *input;
    int32_t input_rows;
    int32_t top;     /* of the present output row's patches, in the image */
    int32_t x;       /* output column */
    int32_t run;     /* values of a kernel row */
    int32_t inputs;  /* values of a patch, rounded up to whole words */
    int32_t is_even; /* whether a run lies side by side in the image and is a number of whole words */
} position;

static void fill(int8_t *to, int32_t count, int32_t value)
{
    for (int32_t i = 0; i < count; i++) {
        to[i] = (int8_t)value;
    }
}

static void copy(int8_t *to, const int8_t *from, int32_t count)
{
#if defined(__ARM_FEATURE_DSP)
    if (count >= MATMUL_STEP) {
        const int32_t last = count - MATMUL_STEP;

        for (int32_t i = 0; i < last; i += MATMUL_STEP) {
            store_word(to + i, load_word(from + i));
        }
        /* The last word may overlap the one before it. */
        store_word(to + last, load_word(from + last));
        return;
    }
#endif
    for (int32_t i = 0; i < count; i++) {
        to[i] = from[i];
    }
}

static int32_t is_inside(int32_t place, int32_t size)
{
    return place >= 0 && place < size;
}

static void move_on(position *at)
{
    const window_params *const w = &at->params->window;

    at->x++;
    if (at->x == w->output_width) {
        at->x = 0;
        at->top += w->stride_height;
    }
}

/* `taps` taps of a kernel row that lie side by side, the first in row y and column x of the image. */
static int8_t *gather_run(const position *at, int32_t y, int32_t x, int32_t taps, int8_t *patch)
{
    const window_params *const w = &at->params->window;
    const int32_t channels = w->input_channels;
    const int32_t before = x < 0 ? (x > -taps ? -x : taps) : 0;
    const int32_t inside = (w->input_width - x < taps ? w->input_width - x : taps) - before;

    if (!is_inside(y, w->input_height) || inside <= 0) {
        fill(patch, taps * channels, at->params->padding);
        return patch + taps * channels;
    }
    fill(patch, before * channels, at->params->padding);
    patch += before * channels;
    copy(patch, at->input + (in_ring(y, at->input_rows) * w->input_width + x + before) * channels, inside * channels);
    patch += inside * channels;
    fill(patch, (taps - before - inside) * channels, at->params->padding);
    return patch + (taps - before - inside) * channels;
}

/* A patch that the image's left or right border cuts, or whose taps lie apart, as a filter lies in memory. */
static void gather(const position *at, int32_t left, int8_t *patch)
{
    const window_params *const w = &at->params->window;

    for (int32_t ky = 0; ky < w->kernel_height; ky++) {
        const int32_t y = at->top + ky * w->dilation_height;

        if (w->dilation_width == 1) {
            patch = gather_run(at, y, left, w->kernel_width, patch);
            continue;
        }
        for (int32_t kx = 0; kx < w->kernel_width; kx++) {
            patch = gather_run(at, y, left + kx * w->dilation_width, 1, patch);
        }
    }
}

/* Where a kernel row begins in the image; null for one of padding. */
static const int8_t *kernel_row(const position *at, int32_t ky, int32_t left)
{
    const window_params *const w = &at->params->window;
    const int32_t y = at->top + ky * w->dilation_height;

    return is_inside(y, w->input_height)
               ? at->input + (in_ring(y, at->input_rows) * w->input_width + left) * w->input_channels
               : 0;
}

/* A patch that lies inside of the image from left to right. */
static void gather_rows(const position *at, int32_t left, int8_t *patch)
{
    const window_params *const w = &at->params->window;
    const int32_t row = w->input_width * w->input_channels;
    const int32_t end = at->top + w->kernel_height * w->dilation_height;
    const int32_t run = at->run;

    for (int32_t y = at->top; y < end; y += w->dilation_height) {
        if (is_inside(y, w->input_height)) {
            copy(patch, at->input + in_ring(y, at->input_rows) * row + left * w->input_channels, run);
        } else {
            fill(patch, run, at->params->padding);
        }
        patch += run;
    }
}

/* Such a patch without a copy, where runs are whole words. */
static void expand_rows(const position *at, uint32_t *expanded, int32_t index, int32_t left)
{
    for (int32_t ky = 0; ky < at->params->window.kernel_height; ky++) {
        const int8_t *const from = kernel_row(at, ky, left);

        if (from) {
            expand_pixel_s8(expanded, index, from, at->run);
        } else {
            pad_pixel_s8(expanded, index, at->params->padding, at->run);
        }
        expanded += MATMUL_WORDS(at->run);
    }
}

/* The patch `index` of four, wherever it lies. */
static void expand_patch(const position *at, uint32_t *expanded, int32_t index, int8_t *patch)
{
    const window_params *const w = &at->params->window;
    const int32_t left = at->x * w->stride_width - w->pad_left;

    if (w->dilation_width > 1 || left < 0 || left > w->input_width - w->kernel_width) {
        gather(at, left, patch);
    } else if (at->is_even) {
        expand_rows(at, expanded, index, left);
        return;
    } else {
        gather_rows(at, left, patch);
    }
    /* Whole words: the zeros that fill up the filters make nothing of what lies behind the patch. */
    expand_pixel_s8(expanded, index, patch, at->inputs);
}

/* Four patches, `count` of them different, in a row of outputs and inside of the image from left to right. */
static void expand_four(const position *at, uint32_t *expanded, int32_t left, int32_t count)
{
    const window_params *const w = &at->params->window;

    for (int32_t ky = 0; ky < w->kernel_height; ky++) {
        const int8_t *from = kernel_row(at, ky, left);
        const int8_t *four[MATMUL_PIXELS];

        if (from) {
            for (int32_t i = 0; i < MATMUL_PIXELS; i++) {
                four[i] = from;
                from += i + 1 < count ? w->stride_width * w->input_channels : 0;
            }
            expand_s8(expanded, four, at->run);
        } else {
            pad_s8(expanded, at->params->padding, at->run);
        }
        expanded += MATMUL_WORDS(at->run);
    }
}

/* The patches of the next four output positions; of the last `count`, whose last one then repeats. */
static void expand_next(position *at, uint32_t *expanded, int32_t count)
{
    const window_params *const w = &at->params->window;
    const int32_t left = at->x * w->stride_width - w->pad_left;
    const int32_t right = left + (count - 1) * w->stride_width + w->kernel_width;

    if (at->is_even && left >= 0 && right <= w->input_width && at->x + count <= w->output_width) {
        expand_four(at, expanded, left, count);
        at->x += count - 1;
    } else {
        for (int32_t i = 0; i < MATMUL_PIXELS; i++) {
            expand_patch(at, expanded, i, (int8_t *)(expanded + MATMUL_WORDS(at->inputs)));
            if (i + 1 < count) {
                move_on(at);
            }
        }
    }
    move_on(at);
}

void conv2d_s8(const conv2d_s8_params *params, const int8_t *input, const int32_t *filters, int32_t *scratch,
               int32_t input_rows, int32_t first_row, int32_t end_row, int8_t *output)
{
    const window_params *const w = &params->window;
    const int32_t run = w->kernel_width * w->input_channels;
    const int32_t inputs = w->kernel_height * run;
    uint32_t *const expanded = (uint32_t *)scratch;
    matmul_s8_params matmul = {
        (inputs + MATMUL_STEP - 1) / MATMUL_STEP, params->output_channels, {0, 0, 0}, &params->requantization};
    position at = {
        .params = params, .input = input, .input_rows = input_rows, .run = run, .inputs = matmul.steps * MATMUL_STEP};

    at.top = first_row * w->stride_height - w->pad_top;
    at.is_even = w->dilation_width == 1 && run % MATMUL_STEP == 0;
    place_pixels(&matmul, MATMUL_PIXELS);
    for (int32_t pixels = (end_row - first_row) * w->output_width; pixels > 0; pixels -= MATMUL_PIXELS) {
        const int32_t count = pixels < MATMUL_PIXELS ? pixels : MATMUL_PIXELS;

        if (count < MATMUL_PIXELS) {
            place_pixels(&matmul, count);
        }
        expand_next(&at, expanded, count);
        matmul_s8(&matmul, expanded, filters, output);
        output += MATMUL_PIXELS * params->output_channels;
    }
}
