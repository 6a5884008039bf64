"""Numbers and parameters as a reader needs them: three figures, a unit with its prefix, an exponent with its interval.

Numbers are what `float` takes; NaN is a dash.
"""

from __future__ import annotations

import json
import math
from collections.abc import Container, Mapping
from typing import Any

_SYMBOLS = {"byte/s": "B/s", "bytes": "B", "flops": "flop", "flop/s": "flop/s"}
_FIRST = ["method", "backend", "dtype"]
_THIN = "\u202f"


def number(value: Any) -> str:
    """Three significant figures, or a whole number with thin spaces between thousands.

    >>> number(0.12345), number(64000).replace(_THIN, " ")
    ('0.123', '64 000')
    """
    value = float(value)
    if not math.isfinite(value):
        return "–" if math.isnan(value) else "∞"
    if abs(value) >= 1e9 or (abs(value) < 100 and value != int(value)):
        return f"{value:.3g}"
    return f"{value:,.0f}".replace(",", _THIN if abs(value) >= 1e4 else "")


def quantity(value: Any, name: str) -> str:
    """A value in SI units of one of the quantities of the suite, such as "seconds"; of others a plain number.

    >>> quantity(0.00123, "seconds").replace(_THIN, " ")
    '1.23 ms'
    """
    from matplotlib.ticker import EngFormatter

    value, symbol = float(value), "s" if name.startswith("seconds") else _SYMBOLS.get(name)
    if "error" in name:
        return error(value)
    if symbol is None or not math.isfinite(value):
        return number(value)
    return str(EngFormatter(unit=symbol, sep=_THIN)(float(f"{value:.3g}")))


def seconds(value: Any) -> str:
    """A time."""
    return quantity(value, "seconds")


def times(value: Any) -> str:
    """A ratio, with its sign."""
    return f"{number(value)} ×"


def error(value: Any) -> str:
    """A relative error, by its order: one decimal and an exponent."""
    return f"{float(value):.1e}" if value and math.isfinite(float(value)) else number(value)


def exponent(value: Any) -> str:
    """Two decimals and a true minus sign."""
    return "–" if math.isnan(float(value)) else f"{float(value):.2f}".replace("-", "−")


def interval(low: Any, high: Any) -> str:
    """Two exponents in brackets."""
    return "–" if math.isnan(float(low) + float(high)) else f"[{exponent(low)}, {exponent(high)}]"


def share(value: Any) -> str:
    """A fraction in per cent, with one decimal below ten.

    >>> share(0.512), share(0.0512)
    ('51 %', '5.1 %')
    """
    per_cent = 100 * float(value)
    if not math.isfinite(per_cent):
        return number(per_cent)
    return f"{per_cent:.0f} %" if per_cent >= 9.95 else f"{per_cent:.2g} %"


def readable(params: str | Mapping[str, Any], without: Container[str] = ()) -> str:
    """Parameters in words, the method and the backend first, and some left out.

    >>> readable('{"backend": "numpy", "method": "svd", "n": 20, "p": 5}', without=["p"])
    'svd, numpy, n = 20'
    """
    given = json.loads(params) if isinstance(params, str) else params
    ordered = [*(name for name in _FIRST if name in given), *sorted(set(given) - set(_FIRST))]
    return ", ".join(_word(name, given[name]) for name in ordered if name not in without)


def _word(name: str, value: Any) -> str:
    shown = number(value) if type(value) in (int, float) else value
    return value if isinstance(value, str) else f"{name} = {shown}"
