"""TinySpeech (Wong et al., 2020, arXiv:2008.04245), and the four-block version that a report put on an ESP32-S2.

The paper prints each block as four widths, (mid0, out0, mid1, out1), of an embedding that is grouped, pointwise,
grouped, pointwise. In all of its networks mid0 is twice C, mid1 is twice out0 and out1 is C, C being the channels of
the block's input: a grouped convolution makes two outputs per channel, and out0 alone is free. So ``(20, 18, 36, 10)``
is a point of the space and, say, ``(20, 18, 40, 10)`` is not: 18 channels do not make 40 alike.

What the paper leaves open is chosen as its public re-implementations do: max-pooling 2x2, ReLU within the embedding.
Only its last convolution is linear here, because BatchNorm's factor on A is folded into it.
"""

from __future__ import annotations

from search_spaces.attention_condenser import BLOCKS, AttentionCondenser
from search_spaces.graph import Graph
from search_spaces.published.registry import Claims, published
from search_spaces.space import Value

Block = tuple[int, int, int, int]
"""Widths (mid0, out0, mid1, out1) of a block's embedding."""

MFCC_SHAPE = (49, 10, 1)
"""49 frames of 10 coefficients, which keyword-spotting benchmarks use. The paper does not say what it used."""

PAPER = "TinySpeech (Wong et al., 2020, arXiv:2008.04245)"
REPORT = "A. Lefevre's report on voice commands on an ESP32-S2"


def blocks_of(channels: int, *widths: int) -> tuple[Block, ...]:
    """Blocks in the paper's notation from their out0: what is around it follows from that and ``channels``."""
    return tuple((2 * channels, out0, 2 * out0, channels) for out0 in widths)


X_BLOCKS = blocks_of(15, 6, 6, 6, 18, 27, 18)
Y_BLOCKS = blocks_of(10, 6, 6, 6, 18, 26, 18)
Z_BLOCKS = blocks_of(7, 3, 3, 2, 11, 14, 10)
M_BLOCKS = blocks_of(9, 6, 9, 8)


def tinyspeech_choices(
    stem_width: int,
    blocks: tuple[Block, ...],
    head_width: int,
    *,
    attention: str = "additive",
    batch_norm: bool = True,
    kernel: int = 1,
    dense: int = 0,
) -> dict[str, Value]:
    """Choices of the attention-condenser space from the paper's notation.

    Raises ValueError for a block that no grouped convolutions of multiplier 2 make.
    """
    for block in blocks:
        (expected,) = blocks_of(stem_width, block[1])
        if block != expected:
            raise ValueError(f"block {block} of {stem_width} channels: {expected} expected")
    values: dict[str, Value] = {
        "stem_width": stem_width,
        "stem_stride": 1,
        "blocks": len(blocks),
        "attention": attention,
        "batch_norm": batch_norm,
        "multiplier": 2,
        "grouped": "relu",
    }
    for number in range(1, BLOCKS + 1):
        width = blocks[min(number, len(blocks)) - 1][1]  # of an absent block any will do
        own: dict[str, Value] = {"condensers": 1, "pool": "max", "factor": 2, "width": width, "kernel": kernel}
        values |= {f"block{number}_{name}": value for name, value in own.items()}
        values |= {f"block{number}_inner": "relu", f"block{number}_outer": "none"}
    return values | {"head_width": head_width, "dense": dense}


def _paper(accuracy: str) -> str:
    return f"{PAPER}, 12 classes; {accuracy} on Speech Commands v1"


def _tinyspeech(choices: dict[str, Value], classes: int = 12) -> Graph:
    return AttentionCondenser(MFCC_SHAPE, classes).build(choices)


@published(
    "tinyspeech-x",
    space="attention_condenser",
    source=_paper("94.6 %"),
    claims=Claims(params=10_800, macs=10_900_000, counting="tinyspeech", note="10,847 parameters for 10 classes."),
)
def _x() -> Graph:
    return _tinyspeech(tinyspeech_choices(15, X_BLOCKS, 38))


@published(
    "tinyspeech-y",
    space="attention_condenser",
    source=_paper("93.6 %"),
    claims=Claims(
        params=6_100,
        macs=6_500_000,
        counting="tinyspeech",
        note="The last convolution has 6 channels in the only transcription there is. With 25 the parameters would fit "
        "(6,120), the mult-adds still would not (6.05 M).",
    ),
)
def _y() -> Graph:
    return _tinyspeech(tinyspeech_choices(10, Y_BLOCKS, 6))


@published(
    "tinyspeech-z",
    space="attention_condenser",
    source=_paper("92.4 %"),
    claims=(
        Claims(params=2_700, macs=2_600_000, counting="tinyspeech"),
        Claims(
            params=4_846,
            source=f"{REPORT}: this network in float, 80.7 %",
            note="No reading tried gives it for 10 or 12 classes. One does for 35 (all words of Speech Commands v2): "
            "3x3 grouped convolutions, dense 17, S per channel, biases in the dense layers alone. The report has ten.",
        ),
    ),
)
def _z() -> Graph:
    return _tinyspeech(tinyspeech_choices(7, Z_BLOCKS, 17))


@published(
    "tinyspeech-m",
    space="attention_condenser",
    source=_paper("91.9 %"),
    claims=Claims(params=4_700, macs=4_400_000, counting="tinyspeech"),
)
def _m() -> Graph:
    return _tinyspeech(tinyspeech_choices(9, M_BLOCKS, 40, batch_norm=False))


@published(
    "qtinyspeech-z",
    space="attention_condenser",
    source=f"{REPORT}: the first four blocks of TinySpeech-Z, int8, ten words; 86.3 %",
    claims=Claims(
        params=3_164,
        counting="qtinyspeech",
        note="The report prints only the sum. Two readings give it: blocks 1 to 4 with biases in the convolutions "
        "alone and S per channel (or BatchNorm for the last bias), which is ours, and blocks 1, 2, 3 and 5 with biases "
        "in the dense layers alone and S per channel.",
    ),
)
def _qtinyspeech_z() -> Graph:
    choices = tinyspeech_choices(7, Z_BLOCKS[:4], 17, attention="gated", kernel=3, dense=17)
    return _tinyspeech(choices, classes=10)
