"""The ``nas`` command."""

from nas.cli.app import main

__all__ = ["main"]
