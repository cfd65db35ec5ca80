"""Cycles of the firmware: for each kernel a linear model over counts that follow its loops.

The counts, called terms, are what the kernels' loops run over, so that each coefficient reads as a price:

============  ====================================================================================================
outputs       output values: requantised, clamped, stored
pixels        output positions
rows          rows of the output
calls         1 for each step; for each row of one that comes row by row
runs          Add and Mul: the pieces of the output along which no operand is resized (``joined``)
words         Add, Mul, UpsampleNearest: four elements of a run, taken at once
word_runs     runs, or positions of a pooling window, that have such groups of four at all
lone_runs     positions of a pooling window that have channels left over
lone_outputs  output values that no group of four takes in
pairs         pooling: two taps of a window at once, for four channels
singles       pooling: one tap for four channels
turns         pooling: turns of the outer of a window's two loops, for four channels
short_turns   pooling: those of them that have one tap
lone_taps     pooling: taps of channels that are left over from groups of four
lone_turns    pooling: turns of the outer loop for such a channel
columns       pooling: positions where a column of the window is longer than a row of it
tiles         depthwise: four outputs, or as many places for them, that are summed at once
signed_tiles  the same, of layers without an activation; ``signed_outputs`` likewise
pairs         depthwise, without the DSP extension: two outputs side by side; ``singles`` in an odd column at the end
taps          depthwise: two taps of a kernel row, for all outputs of a tile; filled up with empty ones
columns       depthwise: columns of tiles, in each band of rows of each output channel
runs          depthwise: innermost functions entered, for pairs of columns and for an odd one
channels      depthwise: bands of rows of each output channel
weights       depthwise: pairs of weights, laid out for each of them; ``rows`` of the kernel likewise
offsets       depthwise: the same pairs once, when their places in a plane are worked out
groups        depthwise: bands of rows of each four input channels, and of each that is left over
strips        depthwise: strips of such a band, one for each remainder of the rows modulo the stride
copies        depthwise: two pairs of pixels, copied for four channels; in strips that are ``word_runs``
lone_words    depthwise: a pair of pixels, copied for one channel; in strips that are ``lone_runs``
fills         depthwise: words of padding; in strips that are ``fill_runs``
moved         depthwise: words kept from band to band; in strips that are ``moved_runs``
macs          convolutions: products of tiles (``estimators.matmul``) with two filters; dense: with four units
runs          convolutions: rounds of their inner loop
groups        convolutions: tiles times pairs of filters; dense: groups of units, of any size
lone_macs     convolutions: products of tiles with a filter that is left over; dense: with a unit; lone_outputs likewise
pairs         dense: products with two units that are left over
word_runs     dense: groups that have whole words of inputs
inputs        dense, without the DSP extension: inputs, added up once
chunks        convolutions, without the DSP extension: pieces of sums over more than 256 inputs, for a pair of filters
taps, turns   dense: products of inputs that are left over from whole words, and those inputs for each group
tiles         convolutions: four output positions, multiplied at once
words         convolutions: four inputs of the four positions of a tile, expanded at once
rows          convolutions: kernel rows of a tile that are expanded so; ``padded_words`` of them are padding
word_runs     pointwise: tiles that have words; other convolutions: kernel rows copied, of a single position
lone_words    convolutions: four inputs, or what is left over from whole words, expanded for a single position
lone_runs     convolutions: kernel rows of a single position, expanded from the image
cut_runs      convolutions: runs of a single position, copied with care: a border is near, or taps lie apart
copies, taps  convolutions: words so copied, or in word_runs; values of runs shorter than a word
fill_runs     convolutions: runs of a single position that are nothing but padding
fills         convolutions: values of padding in all of them
taps          weights of 4 bits, pointwise: steps of four inputs of the four positions, added up
words         weights of 4 bits, dense: pairs of words of inputs, added up; lone_taps inputs that are left over
word_runs     weights of 4 bits, dense: groups of units, if inputs make whole words
============  ====================================================================================================

The loops are those of ``firmware/kernels/*.c``; the prices are ``[cycles]`` in the target's file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from estimators import depthwise, elementwise, matmul, pooling
from estimators.kernels import Kernel, Term
from estimators.steps import Step
from estimators.targets import Target
from search_spaces.ops import AvgPool, DepthwiseConv2D, MaxPool, Op, Shape

if TYPE_CHECKING:
    from estimators.plan import Plan

Terms = Mapping[Term, int]
Shapes = tuple[Shape, ...]


def cycles(plan: Plan) -> float:
    """Cycles of one inference."""
    return sum(step_cycles(plan, step) for step in plan.steps)


def terms(plan: Plan, step: Step) -> Terms:
    """What the kernel of one step of ``plan`` counts."""
    return _terms(step, *plan.shapes(step), step.by_rows)


def _terms(step: Step, read: Shapes, out: Shape, by_rows: bool) -> Terms:
    return _terms_by_rows(step, read, out) if by_rows else TERMS[step.kernel](step.op, read, out)


def _terms_by_rows(step: Step, read: Shapes, out: Shape) -> Terms:
    """As many calls as the output has rows. Those of a convolution over several rows differ at the borders."""
    op, row = step.op, (1, out[1], out[2])
    if step.kernel == "conv2d_s8":
        return matmul.conv2d(op, read[0], out, by_rows=True)
    if isinstance(op, DepthwiseConv2D):
        return depthwise.counts(op, read[0], out, by_rows=True)
    height = op.kernel[0] if isinstance(op, MaxPool | AvgPool) else 1
    one = TERMS[step.kernel](op, tuple([(height, *shape[1:]) for shape in read]), row)
    return {term: count * out[0] for term, count in one.items()}


def step_cycles(plan: Plan, step: Step) -> float:
    """Cycles of one step of ``plan``."""
    return cycles_of(plan.target, step, *plan.shapes(step), step.by_rows)


def cycles_of(target: Target, step: Step, read: Shapes, out: Shape, by_rows: bool) -> float:
    """Cycles of a step that reads and writes tensors of these shapes, all at once or row by row."""
    price, counts = target.cycles.kernels[step.kernel], _terms(step, read, out, by_rows)
    return sum(coefficient * counts[term] for term, coefficient in price.items())


def _conv2d(op: Op, shapes: Shapes, out: Shape) -> Terms:
    return matmul.conv2d(op, shapes[0], out)


def _pointwise(op: Op, shapes: Shapes, out: Shape) -> Terms:
    return matmul.pointwise(op, shapes[0], out)


def _depthwise(op: Op, shapes: Shapes, out: Shape) -> Terms:
    assert isinstance(op, DepthwiseConv2D)
    return depthwise.counts(op, shapes[0], out)


def _fully_connected(op: Op, shapes: Shapes, out: Shape) -> Terms:
    return matmul.fully_connected(op, shapes[0], out)


def _pointwise_s4(op: Op, shapes: Shapes, out: Shape) -> Terms:
    return matmul.pointwise_s4(op, shapes[0], out)


def _fully_connected_s4(op: Op, shapes: Shapes, out: Shape) -> Terms:
    return matmul.fully_connected_s4(op, shapes[0], out)


def _pool(op: Op, shapes: Shapes, out: Shape) -> Terms:
    assert isinstance(op, MaxPool | AvgPool)
    return pooling.counts(op, shapes[0], out)


def _elementwise(op: Op, shapes: Shapes, out: Shape) -> Terms:
    height, width, channels = out
    return {"outputs": height * width * channels, "pixels": height * width, "calls": 1}


def _upsample(op: Op, shapes: Shapes, out: Shape) -> Terms:
    return elementwise.upsampled(out[2], out[0], out[1])


TERMS: Final[dict[Kernel, Callable[[Op, Shapes, Shape], Terms]]] = {
    "conv2d_s8": _conv2d,
    "pointwise_s8": _pointwise,
    "pointwise_s4": _pointwise_s4,
    "depthwise_conv2d_s8": _depthwise,
    "depthwise3_s8": _depthwise,
    "channelwise_s8": _depthwise,
    "fully_connected_s8": _fully_connected,
    "fully_connected_s4": _fully_connected_s4,
    "max_pool_s8": _pool,
    "avg_pool_s8": _pool,
    "upsample_nearest_s8": _upsample,
    "add_s8": elementwise.counts,
    "mul_s8": elementwise.counts,
    "lookup_s8": _elementwise,
    "softmax_s8": _elementwise,
}
"""How the terms of each kernel are counted from the operation, the shapes it reads, and its output's shape."""
