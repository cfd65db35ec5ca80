"""Attention condensers: the networks of TinySpeech (Wong et al., 2020, arXiv:2008.04245), opened up block by block.

A condenser condenses its input V to fewer positions, Q, embeds Q into K with a few cheap convolutions, expands K to A,
which has V's size again, and lets A decide what of V goes on (selective attention).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from search_spaces.builder import GraphBuilder
from search_spaces.ops import Activation
from search_spaces.space import Choice, SearchSpace, Value, register_space

BLOCKS = 6
"""The most blocks of a network: as many as TinySpeech-X, -Y and -Z have."""

# TinySpeech's own widths (7, 9, 10, 15; 17, 38) are no multiples of 4, which the kernels would like better.
STEM_WIDTHS = (4, 6, 7, 8, 9, 10, 12, 15, 16, 20, 24, 32, 48)
EMBEDDING_WIDTHS = (2, 3, 4, 6, 8, 9, 10, 11, 12, 14, 16, 18, 19, 20, 24, 26, 27, 32)
HEAD_WIDTHS = (6, 8, 12, 16, 17, 20, 24, 25, 32, 38, 40, 48, 64)
DENSE_WIDTHS = (0, 8, 12, 16, 17, 24, 32)


@register_space
class AttentionCondenser(SearchSpace):
    """Stem, up to six blocks of condensers, a 3x3 convolution, a small dense layer; the same kind of attention in all.

    Stem (3x3, ``stem_width`` channels C, which every block keeps), ``blocks`` blocks, a 3x3 convolution of
    ``head_width`` channels, global average pool, ``dense`` units (0: none), classifier. Blocks beyond ``blocks`` are
    absent, so several vectors may build one network.

    A block is ``condensers`` condensers one after the other, all alike, and its input is added to their output. In a
    condenser (see ``_condenser``) ``pool`` and ``factor`` say how V is condensed. The embedding is four convolutions:
    grouped, pointwise to ``width`` channels, grouped, pointwise back to C. A grouped convolution is a depthwise one of
    ``multiplier`` outputs per channel and kernel 1 or 3 (``kernel``). ``inner`` and ``outer`` are the activations after
    the first and second pointwise convolution, ``grouped`` the one after both grouped ones. (Without any, and with
    kernel 1, the four would be one linear map, learned the long way round.)

    ``batch_norm`` puts a BatchNorm after each condenser's sum. It cannot be folded into V, so it costs a 1x1 depthwise
    convolution. Without it that sum has only S, the learned share of V.
    """

    name: ClassVar[str] = "attention_condenser"
    description: ClassVar[str] = "TinySpeech: up to six residual blocks of attention condensers"

    def choices(self) -> Sequence[Choice]:
        activations = (Activation.NONE.value, Activation.RELU.value)
        rows = [
            Choice("stem_width", STEM_WIDTHS),
            Choice("stem_stride", (1, 2)),
            Choice("blocks", tuple(range(1, BLOCKS + 1))),
            Choice("attention", ("additive", "gated")),
            Choice("batch_norm", (False, True)),
            Choice("multiplier", (1, 2)),
            Choice("grouped", activations),
        ]
        for block in range(1, BLOCKS + 1):
            rows += [
                Choice(f"block{block}_condensers", (1, 2)),
                Choice(f"block{block}_pool", ("max", "average", "depthwise")),
                Choice(f"block{block}_factor", (2, 3, 4)),
                Choice(f"block{block}_width", EMBEDDING_WIDTHS),
                Choice(f"block{block}_kernel", (1, 3)),
                Choice(f"block{block}_inner", activations),
                Choice(f"block{block}_outer", activations),
            ]
        return [*rows, Choice("head_width", HEAD_WIDTHS), Choice("dense", DENSE_WIDTHS)]

    def layers(self, builder: GraphBuilder, choices: Mapping[str, Value]) -> None:
        number = {name: value for name, value in choices.items() if isinstance(value, int)}
        x = builder.conv(builder.input, number["stem_width"], 3, number["stem_stride"])
        for block in range(1, number["blocks"] + 1):
            condenser = _Condenser.of_block(block, choices)
            y = x
            for _ in range(number[f"block{block}_condensers"]):
                y = _condenser(builder, y, condenser)
            x = builder.add(x, y)
        x = builder.global_avg_pool(builder.conv(x, number["head_width"], 3))
        if number["dense"]:
            x = builder.dense(x, number["dense"], Activation.RELU)
        builder.dense(x, self.classes)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Condenser:
    """The choices about one condenser, by their names in the space."""

    attention: str
    batch_norm: bool
    multiplier: int
    grouped: Activation
    pool: str
    factor: int
    width: int
    kernel: int
    inner: Activation
    outer: Activation

    @classmethod
    def of_block(cls, block: int, choices: Mapping[str, Value]) -> Self:
        own = {name: choices[f"block{block}_{name}"] for name in ("pool", "factor", "width", "kernel")}
        return cls(
            attention=str(choices["attention"]),
            batch_norm=bool(choices["batch_norm"]),
            multiplier=int(choices["multiplier"]),
            grouped=Activation(str(choices["grouped"])),
            pool=str(own["pool"]),
            factor=int(own["factor"]),
            width=int(own["width"]),
            kernel=int(own["kernel"]),
            inner=Activation(str(choices[f"block{block}_inner"])),
            outer=Activation(str(choices[f"block{block}_outer"])),
        )


def _condenser(builder: GraphBuilder, v: str, c: _Condenser) -> str:
    """Appends one condenser; its output has the shape of ``v``.

    ``additive``: V' = S * V + A. ``gated``: V' = S * V * sigmoid(A) + V. S is a learned positive number, which costs
    nothing on the device (see ``Scale``). A BatchNorm after the sum, gamma * V' + beta per channel, is written as what
    is left of it after folding: additive, its factor on A goes into the last pointwise convolution and its part on V
    is gamma * S per channel, a 1x1 depthwise convolution; gated, that convolution stands after the sum.
    """
    embedding = _embed(builder, _condense(builder, v, c), c)
    if c.attention == "additive":
        attention = _expand(builder, embedding, v)
        return builder.add(_per_channel(builder, v) if c.batch_norm else builder.scale(v), attention)
    # Sigmoid and nearest-neighbour upsampling commute: before it there are fewer elements to look up.
    gate = _expand(builder, builder.sigmoid(embedding), v)
    total = builder.add(builder.scale(builder.mul(v, gate)), v)
    return _per_channel(builder, total) if c.batch_norm else total


def _condense(builder: GraphBuilder, v: str, c: _Condenser) -> str:
    """Q = C(V), one position for every ``factor`` x ``factor`` of V; a border cut short still has one (SAME)."""
    if c.pool == "max":
        return builder.max_pool(v, c.factor, c.factor)
    if c.pool == "average":
        return builder.avg_pool(v, c.factor, c.factor)
    kernel = c.factor | 1  # the least odd one that leaves no position out
    return builder.depthwise(v, kernel, c.factor, activation=Activation.NONE)


def _embed(builder: GraphBuilder, q: str, c: _Condenser) -> str:
    """K = E(Q): grouped, pointwise, grouped, pointwise, from and to V's channels."""
    channels = builder.shape(q)[2]
    k = builder.depthwise(q, c.kernel, multiplier=c.multiplier, activation=c.grouped)
    k = builder.conv(k, c.width, activation=c.inner)
    k = builder.depthwise(k, c.kernel, multiplier=c.multiplier, activation=c.grouped)
    return builder.conv(k, channels, activation=c.outer)


def _expand(builder: GraphBuilder, k: str, v: str) -> str:
    """A = X(K): K repeated to the height and width of ``v``, whether or not those are multiples of K's."""
    height, width, _ = builder.shape(v)
    return k if builder.shape(k)[:2] == (height, width) else builder.upsample(k, (height, width))


def _per_channel(builder: GraphBuilder, x: str) -> str:
    """A factor and an offset for every channel."""
    return builder.depthwise(x, 1, activation=Activation.NONE)
