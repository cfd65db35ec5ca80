"""What a search space is, and the registry that lists them all."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from search_spaces.builder import GraphBuilder
from search_spaces.errors import NasError
from search_spaces.frontend import FrontEnd
from search_spaces.graph import Graph
from search_spaces.ops import Shape

Value = str | int | float | bool


FRONT_END = "front_end"
"""Name of the choice among a task's audio front ends."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One decision: a name and the values it may take, all plain JSON, in increasing order where they have one.

    ``default`` is what a vector means that was written down before the decision existed; None where it must be there.
    """

    name: str
    values: tuple[Value, ...]
    default: Value | None = None


class SearchSpace(ABC):
    """A family of networks for one input and number of classes.

    ``input_shape`` is (height, width, channels). A task of sound offers ``frontends`` instead: which of them to use is
    one more choice, called ``front_end``, and decides the input's shape.

    A member is a vector of choices. Its array form is a row of value indices, one per choice in the order of
    ``distributions()``, so that whole populations are drawn and compared as one integer array.
    """

    name: ClassVar[str]
    description: ClassVar[str]

    def __init__(self, input_shape: Shape, classes: int, frontends: Sequence[FrontEnd] = ()) -> None:
        if len(input_shape) != 3 or min(input_shape) < 1:
            raise NasError(f"input_shape {input_shape}: three positive extents (height, width, channels) expected")
        if classes < 2:
            raise NasError(f"classes {classes}: at least 2 expected")
        self.input_shape = input_shape
        self.classes = classes
        self.frontends = {frontend.name: frontend for frontend in frontends}
        if len(self.frontends) != len(frontends):
            raise NasError(f"front ends {', '.join(f.name for f in frontends)}: each name once expected")

    @abstractmethod
    def choices(self) -> Sequence[Choice]:
        """The decisions about the network, in a fixed order that depends on nothing."""

    @abstractmethod
    def layers(self, builder: GraphBuilder, choices: Mapping[str, Value]) -> None:
        """Appends the whole network for a vector of ``choices``, checked already, to ``builder``.

        ``builder.input_shape`` is the shape of the input; the last operation must give ``self.classes`` logits.
        """

    def build(self, choices: Mapping[str, Value]) -> Graph:
        """The network for a whole vector of choices; raises NasError where one is missing or not on offer."""
        choices = self.complete(choices)
        frontend = self.frontends[str(choices[FRONT_END])] if self.frontends else None
        builder = GraphBuilder(self.input_shape if frontend is None else frontend.shape, frontend)
        self.layers(builder, choices)
        return builder.build(self.name)

    @cached_property
    def _choices(self) -> tuple[Choice, ...]:
        front = [Choice(FRONT_END, tuple(self.frontends))] if self.frontends else []
        return (*front, *self.choices())

    @cached_property
    def _cardinalities(self) -> NDArray[np.int64]:
        return np.array([len(choice.values) for choice in self._choices], dtype=np.int64)

    def distributions(self) -> dict[str, Choice]:
        """Every decision by name."""
        return {choice.name: choice for choice in self._choices}

    @property
    def size(self) -> int:
        """Number of vectors of choices; several of them may build the same network."""
        return math.prod(len(choice.values) for choice in self._choices)

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.int64]:
        """``count`` vectors drawn uniformly, as value indices of shape (count, number of choices)."""
        return rng.integers(0, self._cardinalities, size=(count, len(self._choices)))

    def decode(self, row: NDArray[np.int64] | Sequence[int]) -> dict[str, Value]:
        """The choices that a row of value indices stands for."""
        return {choice.name: choice.values[int(i)] for choice, i in zip(self._choices, row, strict=True)}

    def encode(self, choices: Mapping[str, Value]) -> NDArray[np.int64]:
        """The row of value indices for choices; raises NasError where one is missing, unknown or not on offer."""
        choices = self.complete(choices)
        return np.array([c.values.index(choices[c.name]) for c in self._choices], dtype=np.int64)

    def complete(self, choices: Mapping[str, Value]) -> dict[str, Value]:
        """``choices`` with the defaults of those that are missing and have one.

        Raises NasError unless every decision then has one of its values, and there is nothing else.
        """
        unknown = set(choices) - {choice.name for choice in self._choices}
        if unknown:
            raise NasError(f"choice {min(unknown)!r} is unknown to space {self.name!r}")
        result: dict[str, Value] = {}
        for choice in self._choices:
            value = choices.get(choice.name, choice.default)
            if value is None:
                raise NasError(f"choice {choice.name!r} is missing; space {self.name!r} needs it")
            if not any(value == offer and type(value) is type(offer) for offer in choice.values):
                offers = ", ".join(repr(v) for v in choice.values)
                raise NasError(f"choice {choice.name!r} is {value!r}; space {self.name!r} offers {offers}")
            result[choice.name] = value
        return result


_SPACES: dict[str, type[SearchSpace]] = {}

_S = TypeVar("_S", bound=type[SearchSpace])


def register_space(space: _S) -> _S:
    """Class decorator that lists a space under its ``name``."""
    if space.name in _SPACES:
        raise ValueError(f"search space {space.name!r} is registered twice")
    _SPACES[space.name] = space
    return space


def space_names() -> list[str]:
    """Names of all spaces, sorted."""
    return sorted(_SPACES)


def get_space(name: str, input_shape: Shape, classes: int, frontends: Sequence[FrontEnd] = ()) -> SearchSpace:
    """The space called ``name`` for the given input shape, classes and front ends; NasError where there is none."""
    return space_class(name)(input_shape, classes, frontends)


def space_class(name: str) -> type[SearchSpace]:
    """The class of the space called ``name``; NasError where there is none."""
    if name not in _SPACES:
        raise NasError(f"search space {name!r} is unknown{did_you_mean(name, space_names())}")
    return _SPACES[name]


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """The end of a sentence about an unknown name: the closest known one, and all of them."""
    close = get_close_matches(name, known, n=1, cutoff=0.5)
    guess = f"; did you mean {close[0]!r}?" if close else ";"
    return f"{guess} known are {', '.join(known)}"
