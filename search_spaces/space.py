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

from search_spaces.errors import NasError
from search_spaces.graph import Graph
from search_spaces.ops import Shape

Value = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Choice:
    """One decision: a name and the values it may take, all plain JSON, in increasing order where they have one."""

    name: str
    values: tuple[Value, ...]


class SearchSpace(ABC):
    """A family of networks for one input shape (height, width, channels) and number of classes.

    A member is a vector of choices. Its array form is a row of value indices, one per choice in the order of
    ``distributions()``, so that whole populations are drawn and compared as one integer array.
    """

    name: ClassVar[str]
    description: ClassVar[str]

    def __init__(self, input_shape: Shape, classes: int) -> None:
        if len(input_shape) != 3 or min(input_shape) < 1:
            raise NasError(f"input_shape {input_shape}: three positive extents (height, width, channels) expected")
        if classes < 2:
            raise NasError(f"classes {classes}: at least 2 expected")
        self.input_shape = input_shape
        self.classes = classes

    @abstractmethod
    def choices(self) -> Sequence[Choice]:
        """The decisions, in a fixed order that depends on nothing."""

    @abstractmethod
    def build(self, choices: Mapping[str, Value]) -> Graph:
        """The network for a whole vector of choices; raises NasError where one is missing or not on offer."""

    @cached_property
    def _choices(self) -> tuple[Choice, ...]:
        return tuple(self.choices())

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
        self.check(choices)
        return np.array([c.values.index(choices[c.name]) for c in self._choices], dtype=np.int64)

    def check(self, choices: Mapping[str, Value]) -> None:
        """Raises NasError unless ``choices`` names every decision with one of its values, and nothing else."""
        unknown = set(choices) - {choice.name for choice in self._choices}
        if unknown:
            raise NasError(f"choice {min(unknown)!r} is unknown to space {self.name!r}")
        for choice in self._choices:
            if choice.name not in choices:
                raise NasError(f"choice {choice.name!r} is missing; space {self.name!r} needs it")
            value = choices[choice.name]
            if not any(value == offer and type(value) is type(offer) for offer in choice.values):
                offers = ", ".join(repr(v) for v in choice.values)
                raise NasError(f"choice {choice.name!r} is {value!r}; space {self.name!r} offers {offers}")


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


def get_space(name: str, input_shape: Shape, classes: int) -> SearchSpace:
    """The space called ``name`` for the given input shape and number of classes; NasError where there is none."""
    if name not in _SPACES:
        raise NasError(f"search space {name!r} is unknown{did_you_mean(name, space_names())}")
    return _SPACES[name](input_shape, classes)


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """The end of a sentence about an unknown name: the closest known one, and all of them."""
    close = get_close_matches(name, known, n=1, cutoff=0.5)
    guess = f"; did you mean {close[0]!r}?" if close else ";"
    return f"{guess} known are {', '.join(known)}"
