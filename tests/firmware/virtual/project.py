"""A tiny hand-written export: four bytes in, four bytes out, and whatever C a test puts into `model_invoke`."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import firmware.boards

MODEL_H = """
#ifndef MODEL_H
#define MODEL_H
#include <stdint.h>
#define MODEL_INPUT_BYTES 4
#define MODEL_OUTPUT_BYTES 4
#define MODEL_ARENA_BYTES 64
void model_init(void);
int8_t *model_input(void);
const int8_t *model_output(void);
void model_invoke(void);
#endif
"""

MODEL_C = """
#include "model.h"
static int8_t arena[MODEL_ARENA_BYTES] __attribute__((aligned(4)));
void model_init(void) {}
int8_t *model_input(void) { return arena; }
const int8_t *model_output(void) { return arena + 4; }
"""

NEGATE = """
void model_invoke(void)
{
    int32_t i;
    for (i = 0; i < 4; i++) {
        arena[4 + i] = (int8_t)-arena[i];
    }
}
"""

VECTORS_H = """
#ifndef VECTORS_H
#define VECTORS_H
#include "model.h"
#define VECTOR_COUNT 2
extern const int8_t vector_inputs[VECTOR_COUNT][MODEL_INPUT_BYTES];
extern const int8_t vector_outputs[VECTOR_COUNT][MODEL_OUTPUT_BYTES];
#endif
"""

VECTORS_C = """
#include "vectors.h"
const int8_t vector_inputs[VECTOR_COUNT][MODEL_INPUT_BYTES] = {{1, 2, 3, 4}, {-5, 0, 127, -127}};
const int8_t vector_outputs[VECTOR_COUNT][MODEL_OUTPUT_BYTES] = {{-1, -2, -3, -4}, {5, 0, -127, 126}};
"""


def write_project(folder: Path, invoke: str = NEGATE, kernels: Mapping[str, str] | None = None) -> Path:
    """An export in `folder` whose model.c ends with `invoke`; `kernels` holds further sources by name."""
    shutil.copytree(
        Path(firmware.boards.__path__[0]) / "stm32l4r9",
        folder / "stm32l4r9",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    texts = {"model.h": MODEL_H, "model.c": MODEL_C + invoke, "vectors.h": VECTORS_H, "vectors.c": VECTORS_C}
    texts |= {f"kernels/{name}": text for name, text in (kernels or {}).items()}
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="ascii")
    return folder


def naked(body: str, name: str = "model_invoke") -> str:
    """A C function that consists of exactly these assembler instructions."""
    lines = "".join(f'        "{line.strip()}\\n"\n' for line in body.strip().splitlines())
    return f"\n__attribute__((naked)) void {name}(void)\n{{\n    __asm volatile(\n{lines}    );\n}}\n"
