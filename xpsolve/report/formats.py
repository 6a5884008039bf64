"""Numbers as a reader needs them: three figures, a unit with its prefix, an exponent with its interval."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["error", "exponent", "interval", "number", "quantity", "share"]

_PREFIXES = [
    (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"),
]  # fmt: skip
_SYMBOLS = {
    "seconds": "s",
    "seconds per launch": "s",
    "seconds per call": "s",
    "flop/s": "flop/s",
    "byte/s": "B/s",
    "bytes": "B",
    "flops": "flop",
}
_THIN = "\u202f"


def number(value: Any) -> str:
    """Three significant figures, or a whole number with thin spaces between thousands.

    Parameters
    ----------
    value : float
        Any number; NaN becomes a dash.

    Returns
    -------
    str
        The number.

    Examples
    --------
    >>> from xpsolve.report.formats import number
    >>> number(0.12345), number(64000).replace("\\u202f", " ")
    ('0.123', '64 000')
    """
    value = float(value)
    if not math.isfinite(value):
        return "–" if math.isnan(value) else "∞"
    if abs(value) >= 1e9:
        return f"{value:.3g}"
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}".replace(",", _THIN if abs(value) >= 1e4 else "")
    return f"{value:.3g}"


def quantity(value: Any, name: str) -> str:
    """A value of one of the quantities of the suite, with its unit.

    Parameters
    ----------
    value : float
        In SI units; NaN becomes a dash.
    name : str
        What it is: "seconds", "flop/s", "bytes", …; anything else is a plain number.

    Returns
    -------
    str
        Three figures, a prefix and the unit.

    Examples
    --------
    >>> from xpsolve.report.formats import quantity
    >>> quantity(0.00123, "seconds").replace("\\u202f", " ")
    '1.23 ms'
    """
    value, symbol = float(value), _SYMBOLS.get(name)
    if "error" in name:
        return error(value)
    if symbol is None or not math.isfinite(value):
        return number(value)
    if value == 0:
        return f"0{_THIN}{symbol}"
    scale, prefix = next((p for p in _PREFIXES if abs(value) >= p[0] * 0.9995), _PREFIXES[-1])
    scaled = value / scale
    digits = f"{scaled:.0f}" if abs(scaled) >= 100 else f"{scaled:.3g}"
    return f"{digits}{_THIN}{prefix}{symbol}"


def error(value: Any) -> str:
    """A relative error, by its order.

    Parameters
    ----------
    value : float
        The error; NaN becomes a dash.

    Returns
    -------
    str
        One decimal and an exponent.

    Examples
    --------
    >>> from xpsolve.report.formats import error
    >>> error(1.234e-12)
    '1.2e-12'
    """
    value = float(value)
    return number(value) if not math.isfinite(value) or value == 0 else f"{value:.1e}"


def exponent(value: Any) -> str:
    """An exponent with two decimals and a true minus sign.

    Parameters
    ----------
    value : float
        The exponent; NaN becomes a dash.

    Returns
    -------
    str
        The exponent.

    Examples
    --------
    >>> from xpsolve.report.formats import exponent
    >>> exponent(-1.999)
    '−2.00'
    """
    return "–" if math.isnan(float(value)) else f"{float(value):.2f}".replace("-", "−")


def interval(low: Any, high: Any) -> str:
    """An interval with two decimals.

    Parameters
    ----------
    low, high : float
        The ends; NaN becomes a dash.

    Returns
    -------
    str
        The interval in brackets.

    Examples
    --------
    >>> from xpsolve.report.formats import interval
    >>> interval(0.981, 1.02)
    '[0.98, 1.02]'
    """
    return "–" if math.isnan(float(low)) or math.isnan(float(high)) else f"[{exponent(low)}, {exponent(high)}]"


def share(value: Any) -> str:
    """A fraction in per cent.

    Parameters
    ----------
    value : float
        The fraction; NaN becomes a dash.

    Returns
    -------
    str
        Whole per cents, with one decimal below ten.

    Examples
    --------
    >>> from xpsolve.report.formats import share
    >>> share(0.512), share(0.0512)
    ('51 %', '5.1 %')
    """
    per_cent = 100 * float(value)
    if not math.isfinite(per_cent):
        return number(per_cent)
    return f"{per_cent:.0f} %" if per_cent >= 9.95 else f"{per_cent:.2g} %"
