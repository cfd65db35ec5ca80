/* Frames of a whole clip, and of sound as it comes in. */
#include "frontend.h"

void frontend_frame(const frontend_params *params, const int16_t *samples, int8_t *row)
{
    frontend_powers(params, samples);
    frontend_features(params, row);
}

void frontend_clip(const frontend_params *params, const int16_t *clip, int8_t *rows)
{
    for (int32_t frame = 0; frame < params->frames; frame++) {
        frontend_frame(params, clip, rows);
        clip += params->hop;
        rows += params->values;
    }
}

/*
 * Copies samples to where they are or further down. Four at a time, which compilers do not take for a call of memmove:
 * a small system's own may copy byte by byte.
 */
static void move_samples(int16_t *to, const int16_t *from, int32_t count)
{
    for (; count >= 4; count -= 4, to += 4, from += 4) {
        const int16_t a = from[0], b = from[1], c = from[2], d = from[3];

        to[0] = a;
        to[1] = b;
        to[2] = c;
        to[3] = d;
    }
    for (; count > 0; count--) {
        *to++ = *from++;
    }
}

int32_t frontend_push(const frontend_params *params, frontend_stream *stream, const int16_t *samples, int32_t count)
{
    int32_t rows = 0;

    while (count > 0) {
        const int32_t room = params->window - stream->filled;
        const int32_t taken = count < room ? count : room;

        move_samples(params->samples + stream->filled, samples, taken);
        stream->filled += taken;
        samples += taken;
        count -= taken;
        if (stream->filled == params->window) {
            frontend_frame(params, params->samples, params->rows + stream->next * params->values);
            stream->next = stream->next + 1 == params->frames ? 0 : stream->next + 1;
            stream->heard += stream->heard < params->frames ? 1 : 0;
            rows++;
            stream->filled = params->window - params->hop;
            move_samples(params->samples, params->samples + params->hop, stream->filled);
        }
    }
    return rows;
}

int32_t frontend_load(const frontend_params *params, const frontend_stream *stream, int8_t *rows)
{
    const int32_t size = params->frames * params->values;
    int32_t from = stream->next * params->values;

    if (stream->heard < params->frames) {
        return 0;
    }
    for (int32_t i = 0; i < size; i++) {
        rows[i] = params->rows[from];
        from = from + 1 == size ? 0 : from + 1;
    }
    return 1;
}
