"""Where torch computes, and that it computes the same every time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from search_spaces.errors import NasError


def resolve_device(name: str) -> torch.device:
    """The device of that name; "auto" is a GPU where there is one. Raises NasError where it is not available."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise NasError(f"device {name!r} is not available; auto, cpu, and cuda on a machine with a GPU are") from error
    return device


@contextlib.contextmanager
def reproducible(device: torch.device, threads: int | None) -> Iterator[None]:
    """Within, torch computes the same on every call, on ``threads`` threads; torch's own settings return afterwards."""
    before = torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    try:
        if threads is not None:
            torch.set_num_threads(threads)
        if device.type == "cuda":
            torch.use_deterministic_algorithms(True, warn_only=True)
        with torch.backends.cudnn.flags(enabled=True, deterministic=True, benchmark=False):
            yield
    finally:
        torch.set_num_threads(before)
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
