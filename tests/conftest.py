"""What every test shares: one thread per library, Hypothesis profiles, the cross compiler and the real data."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from firmware.toolchain import Compiler
    from nas.tasks import TaskData

# Set before a test module imports numpy or torch: small problems get slower, and less repeatable, with more threads.
for _library in ("OMP", "OPENBLAS", "MKL", "NUMEXPR"):
    os.environ.setdefault(f"{_library}_NUM_THREADS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

CHECKOUT = Path(__file__).resolve().parent.parent

# A loaded machine is no reason to fail, so nothing is timed. In CI the same examples come every time.
settings.register_profile("local", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("local"), derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "local")


@pytest.fixture(scope="session", autouse=True)
def _private_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is cached goes into a folder of this run, and with it: the user's own stays as it is."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAS_CACHE", str(folder))
        yield
    shutil.rmtree(folder)  # pytest would keep those of three runs, half a gigabyte each


@pytest.fixture(scope="session")
def checkout() -> Path:
    """Root of the source tree."""
    return CHECKOUT


@pytest.fixture(scope="session")
def arm_gcc() -> Compiler:
    """arm-none-eabi-gcc. Without it a test fails and names `make toolchain`: a skip would hide that nothing ran."""
    from firmware.toolchain import find_arm_compiler
    from search_spaces.errors import NasError

    try:
        return find_arm_compiler("gcc")
    except NasError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder of the real data sets; a test that reads them is skipped where they are not."""
    chosen = os.environ.get("NAS_DATA")
    root = Path(chosen) if chosen else CHECKOUT / ".data"
    if not root.is_dir():
        pytest.skip(f"no data sets in {root}: `make data` brings them")
    return root


@pytest.fixture(scope="session")
def real_speech(data_root: Path) -> TaskData:
    """The task ``speech_commands`` on real clips, read once for all tests: half a minute, most of it for features."""
    from nas.tasks import get_task, load_task

    if get_task("speech_commands").find(data_root) is None:
        pytest.skip(f"no Speech Commands in {data_root}: `make data` brings it")
    return load_task("speech_commands", data_root)
