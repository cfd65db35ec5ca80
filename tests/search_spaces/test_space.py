"""Spaces as arrays of value indices, and the registry."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import NasError, SearchSpace, get_space, register_space, space_names


@pytest.fixture
def space() -> SearchSpace:
    return get_space("ds_cnn", (8, 8, 1), 10)


def test_size_is_the_product_of_the_choices(space: SearchSpace) -> None:
    counts = [len(choice.values) for choice in space.distributions().values()]
    assert space.size == int(np.prod([float(n) for n in counts])) > 10**12


def test_draws_are_uniform_over_every_value(space: SearchSpace) -> None:
    rows = space.draw(np.random.default_rng(1), 20_000)
    assert rows.shape == (20_000, len(space.distributions()))
    for column, choice in zip(rows.T, space.distributions().values(), strict=True):
        counts = np.bincount(column, minlength=len(choice.values))
        expected = len(column) / len(choice.values)
        # Six standard deviations of a binomial count: one false alarm in 10^9 columns.
        assert np.abs(counts - expected).max() < 6 * np.sqrt(expected)


def test_draws_depend_on_the_generator_alone(space: SearchSpace) -> None:
    first, second = (space.draw(np.random.default_rng(7), 5) for _ in range(2))
    assert (first == second).all()


@given(seed=st.integers(0, 2**32))
def test_encode_inverts_decode(seed: int) -> None:
    space = get_space("ds_cnn", (8, 8, 1), 10)
    row = space.draw(np.random.default_rng(seed), 1)[0]
    assert (space.encode(space.decode(row)) == row).all()


def test_choices_are_checked(space: SearchSpace) -> None:
    good = space.decode(np.zeros(len(space.distributions()), dtype=np.int64))
    for bad, message in [
        ({k: v for k, v in good.items() if k != "head"}, "'head' is missing"),
        (good | {"colour": 1}, "'colour' is unknown"),
        (good | {"stem_width": 5}, "'stem_width' is 5; space 'ds_cnn' offers 4, 8"),
        (good | {"residual": 0}, "'residual' is 0"),  # 0 == False in Python, and yet no choice on offer
    ]:
        with pytest.raises(NasError, match=message):
            space.build(bad)


def test_registry() -> None:
    assert "ds_cnn" in space_names()
    with pytest.raises(NasError, match="'ds_cn' is unknown; did you mean 'ds_cnn'"):
        get_space("ds_cn", (8, 8, 1), 10)
    with pytest.raises(ValueError, match="registered twice"):
        register_space(type(get_space("ds_cnn", (8, 8, 1), 10)))


@pytest.mark.parametrize(
    ("shape", "classes", "message"), [((8, 8, 0), 10, r"input_shape \(8, 8, 0\)"), ((8, 8, 1), 1, "classes 1")]
)
def test_impossible_tasks_are_refused(shape: tuple[int, int, int], classes: int, message: str) -> None:
    with pytest.raises(NasError, match=message):
        get_space("ds_cnn", shape, classes)
