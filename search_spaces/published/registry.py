"""The registry of published networks: each is one decorated function in a module of this package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from search_spaces.counting import COUNTINGS
from search_spaces.errors import NasError
from search_spaces.graph import Graph
from search_spaces.ops import FullyConnected, Softmax
from search_spaces.space import did_you_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What somebody published about a network, beside which ``docs/networks.md`` puts our own counts.

    ``params`` and ``macs`` are absolute numbers, None where not published; ``counting`` is the mode of
    ``search_spaces.counting`` in which they are meant. ``note`` is a remark for the table: why a figure is not
    reproduced, what differs. ``source`` is needed only where the figures are not from the network's own source. Raises
    ValueError for an unknown counting mode.
    """

    params: int | None = None
    macs: int | None = None
    counting: str = "exact"
    note: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        if self.counting not in COUNTINGS:
            raise ValueError(f"counting mode {self.counting!r} is unknown; known are {', '.join(COUNTINGS)}")


@dataclass(frozen=True, slots=True)
class PublishedNetwork:
    """A named network: how it is built, the space it is a point of (None when of none), and where it comes from.

    ``claims`` are the figures published about it, none where the source gives none.
    """

    name: str
    build: Callable[[], Graph]
    space: str | None
    source: str
    claims: tuple[Claims, ...] = ()


_NETWORKS: dict[str, PublishedNetwork] = {}
_IMPOSSIBLE: dict[str, str] = {}


def published(
    name: str, *, space: str | None, source: str, claims: Claims | tuple[Claims, ...] = ()
) -> Callable[[Callable[[], Graph]], Callable[[], Graph]]:
    """Decorator that lists the network which a function without arguments builds.

    Raises ValueError where the name is taken.
    """

    def register(build: Callable[[], Graph]) -> Callable[[], Graph]:
        _check_free(name)
        every = (claims,) if isinstance(claims, Claims) else claims
        _NETWORKS[name] = PublishedNetwork(name, build, space, source, every)
        return build

    return register


def impossible(name: str, why: str) -> None:
    """Notes that the known network ``name`` cannot be built; who asks for it gets a NasError that ends in ``why``.

    Such a name is not among ``network_names()``. Raises ValueError where the name is taken.
    """
    _check_free(name)
    _IMPOSSIBLE[name] = why


def _check_free(name: str) -> None:
    if name in _NETWORKS or name in _IMPOSSIBLE:
        raise ValueError(f"network {name!r} is published twice")


def impossible_networks() -> dict[str, str]:
    """Why each known network that cannot be built cannot, by name."""
    return dict(sorted(_IMPOSSIBLE.items()))


def network_names() -> list[str]:
    """Names of all published networks, sorted."""
    return sorted(_NETWORKS)


def published_network(name: str) -> PublishedNetwork:
    """What is known of the network called ``name``; NasError where there is none or where it cannot be built."""
    if name in _IMPOSSIBLE:
        raise NasError(f"network {name!r} cannot be built: {_IMPOSSIBLE[name]}")
    if name not in _NETWORKS:
        raise NasError(f"network {name!r} is unknown{did_you_mean(name, network_names())}")
    return _NETWORKS[name]


def network(name: str, classes: int | None = None) -> Graph:
    """The graph of the network called ``name``, bearing that name; NasError where there is none.

    ``classes`` gives it that many outputs instead of the published number, as ``with_classes`` does.
    """
    built = replace(published_network(name).build(), name=name)
    return built if classes is None else with_classes(built, classes)


def with_classes(graph: Graph, classes: int) -> Graph:
    """``graph`` with ``classes`` outputs: the FullyConnected that makes them gets so many units, all else stays.

    Raises NasError where there is none (a Softmax alone may stand between it and the output), and below 2 classes.
    """
    if classes < 2:
        raise NasError(f"classes {classes}: at least 2 expected")
    last = graph.ops[-1]
    logits = last.inputs[0] if isinstance(last, Softmax) else last.output
    dense = next((op for op in graph.ops if op.output == logits), None)
    if not isinstance(dense, FullyConnected):
        raise NasError(
            f"network {graph.name!r} ends in {last.kind}; only a FullyConnected can be given {classes} classes"
        )
    return replace(graph, ops=tuple(replace(op, units=classes) if op is dense else op for op in graph.ops))
