"""How Add and Mul walk through their operands: longer runs where neighbouring axes are read alike.

The kernels loop over rows, columns and channels of the output and find each operand's element by nearest neighbours,
so that an extent of 1 repeats. Where no operand is resized, the three axes are one run of bytes in all of them; the
kernels are given shapes that say so, and spend nothing on finding their way.
"""

from __future__ import annotations

from collections.abc import Sequence

from search_spaces.ops import Shape


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
