from __future__ import annotations

import pytest

from firmware.toolchain import Compiler, find_arm_compiler, find_xtensa_compiler
from firmware.virtual.run import obstacle


@pytest.fixture(params=["gcc", "zig"])
def arm_compiler(request: pytest.FixtureRequest) -> Compiler:
    """Both compilers, one after the other."""
    if request.param == "zig":
        return find_arm_compiler("zig")
    compiler: Compiler = request.getfixturevalue("arm_gcc")
    return compiler


@pytest.fixture(scope="session")
def xtensa_gcc() -> Compiler:
    """The compiler for Xtensa; a test that needs it, or the emulator, is skipped where one of them is not."""
    reason = obstacle("esp32s2")
    if reason is not None:
        pytest.skip(reason)
    return find_xtensa_compiler()
