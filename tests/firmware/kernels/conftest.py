from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.firmware.kernels.elementwise import ElementwiseDriver
from tests.firmware.kernels.layers import Driver


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    """The kernels of matrix products under the sanitisers, ready for any number of layers."""
    with Driver(tmp_path_factory.mktemp("driver")) as program:
        yield program


@pytest.fixture(scope="session")
def elementwise(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ElementwiseDriver]:
    """The kernels without weights under the sanitisers, ready for any number of operations."""
    with ElementwiseDriver(tmp_path_factory.mktemp("elementwise")) as program:
        yield program
