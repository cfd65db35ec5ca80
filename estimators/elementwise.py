"""How Add and Mul walk through their operands: longer runs where neighbouring axes are read alike.

The kernels loop over rows, columns and channels of the output and find each operand's element by nearest neighbours,
so that an extent of 1 repeats. Where no operand is resized, the three axes are one run of bytes in all of them; the
kernels are given shapes that say so, and spend nothing on finding their way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from estimators.kernels import Term
from search_spaces.ops import Mul, Op, Shape

ELEMENTS = 4
"""That the kernels compute together."""


def joined(out: Shape, operands: Sequence[Shape]) -> tuple[Shape, tuple[Shape, ...]]:
    """Shapes of output and operands with neighbouring axes made one wherever that reads the same elements.

    ``operands`` are the shapes of the tensors that are read, before any upsampling. Two axes join when every operand
    has either the output's extents along both or 1 along both; what they held goes to the later one.
    """
    shapes = [list(out), *(list(operand) for operand in operands)]
    for first, second in ((0, 1), (1, 2)):
        if all(shape[first : second + 1] in (shapes[0][first : second + 1], [1, 1]) for shape in shapes):
            for shape in shapes:
                shape[first], shape[second] = 1, shape[first] * shape[second]
    (result, *rest) = ((shape[0], shape[1], shape[2]) for shape in shapes)
    return result, tuple(rest)


def counts(op: Op, operands: Sequence[Shape], out: Shape) -> Mapping[Term, int]:
    """Terms of an Add's or Mul's step, in ``estimators.cycles``' words.

    They take for granted what integers from training allow: the linear form of a sum, the fast form of a product. A
    product with an operand of one channel that repeats goes element by element.
    """
    (height, width, length), shapes = joined(out, operands)
    words, lone = divmod(length, ELEMENTS)
    if isinstance(op, Mul) and any(shape[2] != length for shape in shapes):
        words, lone = 0, length
    runs = height * width
    return {**_in_words(runs, words, lone), "runs": runs, "rows": height, "calls": 1}


def upsampled(channels: int, height: int, width: int) -> Mapping[Term, int]:
    """Terms of an UpsampleNearest's step with an output of these extents."""
    pixels = height * width
    return {**_in_words(pixels, *divmod(channels, ELEMENTS)), "pixels": pixels, "rows": height, "calls": 1}


def _in_words(runs: int, words: int, lone: int) -> dict[Term, int]:
    """Terms of so many runs, each of so many groups of ELEMENTS and of so many elements beside them."""
    return {"words": runs * words, "word_runs": runs if words else 0, "lone_outputs": runs * lone}
