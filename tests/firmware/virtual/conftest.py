from __future__ import annotations

import pytest

from firmware.toolchain import Compiler, find_arm_compiler


@pytest.fixture(params=["gcc", "zig"])
def arm_compiler(request: pytest.FixtureRequest) -> Compiler:
    """Both compilers, one after the other."""
    if request.param == "zig":
        return find_arm_compiler("zig")
    compiler: Compiler = request.getfixturevalue("arm_gcc")
    return compiler
