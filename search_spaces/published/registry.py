"""The registry of published networks: each is one decorated function in a module of this package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from search_spaces.errors import NasError
from search_spaces.graph import Graph
from search_spaces.space import did_you_mean


@dataclass(frozen=True, slots=True)
class PublishedNetwork:
    """A named network: how it is built, the space it is a point of (None when of none), and where it comes from."""

    name: str
    build: Callable[[], Graph]
    space: str | None
    source: str


_NETWORKS: dict[str, PublishedNetwork] = {}


def published(name: str, *, space: str | None, source: str) -> Callable[[Callable[[], Graph]], Callable[[], Graph]]:
    """Decorator that lists the network which a function without arguments builds."""

    def register(build: Callable[[], Graph]) -> Callable[[], Graph]:
        _NETWORKS[name] = PublishedNetwork(name, build, space, source)
        return build

    return register


def network_names() -> list[str]:
    """Names of all published networks, sorted."""
    return sorted(_NETWORKS)


def published_network(name: str) -> PublishedNetwork:
    """What is known of the network called ``name``; NasError where there is none."""
    if name not in _NETWORKS:
        raise NasError(f"network {name!r} is unknown{did_you_mean(name, network_names())}")
    return _NETWORKS[name]


def network(name: str) -> Graph:
    """The graph of the network called ``name``, bearing that name; NasError where there is none."""
    built = published_network(name).build()
    return Graph(built.input_shape, built.ops, name, built.frontend)
