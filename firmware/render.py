"""Generated text from the templates of this package."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jinja2


def render(name: str, values: Mapping[str, Any]) -> str:
    """The template ``name`` filled in; a value it misses is an error. Values are not escaped: text of a user's has to
    pass ``c_text.plain`` or ``c_text.checked_name`` first."""
    return _environment().get_template(f"{name}.j2").render(values)


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
