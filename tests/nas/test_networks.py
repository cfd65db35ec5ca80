from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.networks import file_name, find_graph
from search_spaces.errors import NasError

HARMLESS = set(string.ascii_letters + string.digits + "._-")


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        (("ds-cnn-s", "digits"), "ds-cnn-s-digits"),
        (("m", "speech_commands:yes, no,unknown"), "m-speech_commands-yes-no-unknown"),
        (("../../etc/passwd", "digits"), "etc-passwd-digits"),
        (("--help",), "help"),
        (("::",), "unnamed"),
    ],
)
def test_file_names(parts: tuple[str, ...], name: str) -> None:
    assert file_name(*parts) == name


@given(st.text(), st.text(alphabet="ab:,/. -", max_size=300))
def test_any_text_becomes_the_name_of_a_file(first: str, second: str) -> None:
    name = file_name(first, second)
    assert 0 < len(name) <= 120
    assert name[0] not in ".-"
    assert all(letter in HARMLESS or letter.isalnum() for letter in name)


def test_long_names_stay_apart() -> None:
    words = ",".join(f"word{number}" for number in range(40))
    one, other = (file_name("m", f"speech_commands:{words},{last}") for last in ("a", "b"))
    assert len(one) == len(other) == 120
    assert one != other


def test_networks_that_cannot_be_had() -> None:
    with pytest.raises(NasError, match=r"known are .*; or a graph \.json, a model \.int8, RUN:NUMBER$"):
        find_graph("bc-resnet")
    with pytest.raises(NasError, match=r"'bc-resnet-1' cannot be built: .*; accepted is 'bc-resnet-1-bn', the variant"):
        find_graph("bc-resnet-1")
    with pytest.raises(NasError, match=r"classes 1: at least 2 expected$"):
        find_graph("resnet-8", 1)
