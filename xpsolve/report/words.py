"""Words from data: the one environment of the templates, for pages, Markdown and single sentences."""

from __future__ import annotations

import functools
import html
from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from xpsolve.report.formats import error, exponent, interval, number, quantity, share


def listed(words: Sequence[Any], most: int = 99) -> str:
    """Words with commas and an "and", the ones beyond `most` as a number.

    >>> listed(["a", "b", "c"]), listed("abcd", 2)
    ('a, b and c', 'a, b and 2 more')
    """
    shown = [str(word) for word in words]
    if len(shown) > most:
        shown = [*shown[:most], f"{len(shown) - most} more"]
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def _markdown(words: Any) -> str:
    return html.escape(str(words), quote=False).replace("|", "\\|").replace("\n", " ")


@functools.cache
def environment() -> Environment:
    """Templates of pages escape what they show, as a machine may have any name; Markdown has the filter ``md``."""
    made = Environment(
        loader=PackageLoader("xpsolve.report"),
        autoescape=lambda name: name is not None and name.endswith(".html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update({show.__name__: show for show in (error, exponent, interval, number, quantity, share, listed)})
    made.filters["md"] = _markdown
    return made


def said(template: str, **values: Any) -> list[str]:
    """What a template of plain sentences says: one for each line that is not empty."""
    lines = environment().get_template(template).render(**values).splitlines()
    return [" ".join(line.split()) for line in lines if line.strip()]
