"""Errors that several parts of this package raise."""

from __future__ import annotations

from search_spaces.errors import NasError


class DataError(NasError):
    """A data set or a file of it is missing, damaged or not what is expected."""
