"""Plots as SVG, made without a library: `bars` and `lines`. The same values give the same text."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from xml.sax.saxutils import escape

from benchmarks.results import Spread

__all__ = ["bars", "lines", "number"]

#: Colours that are told apart by those who do not see all of them (Okabe and Ito).
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#999999", "#b8a800", "#000000")
_WIDTH = 760
_BAR = 16
_GROUP = 30
_LABELS = 190
_VALUES = 80
_LEFT, _RIGHT, _TOP, _BOTTOM = 80, 20, 40, 46
_HEIGHT = 300
_LEGEND = 18
_STYLE = "text{font:12px sans-serif;fill:#222}.s{font-size:11px}.m{text-anchor:middle}.e{text-anchor:end}"


def bars(title: str, groups: Mapping[str, Mapping[str, Spread]]) -> str:
    """
    Draw horizontal bars from zero to the medians, with a line from the least to the most.

    :param groups: heading -> label of a bar -> values. A label has the same colour in all groups.
    """
    labels = list(dict.fromkeys(label for group in groups.values() for label in group))
    most = max((spread.most for group in groups.values() for spread in group.values()), default=0) or 1
    scale = (_WIDTH - _LABELS - _VALUES) / most
    parts, y = [], _TOP - 6
    for heading, group in groups.items():
        parts.append(_text(4, y + 14, heading, "", ' font-weight="bold"'))
        y += 20
        for label, spread in group.items():
            middle, width = y + _BAR / 2, spread.median * scale
            parts += [
                _text(_LABELS - 6, middle + 4, label, "s e"),
                _box(_LABELS, y + 2, width, _BAR - 4, _colour(labels.index(label))),
                _line(_LABELS + spread.least * scale, middle, _LABELS + spread.most * scale, middle, "#222"),
                _text(_LABELS + spread.most * scale + 5, middle + 4, number(spread.median), "s"),
            ]
            y += _BAR
        y += _GROUP - 20
    return _svg(title, y + 4, parts)


def lines(title: str, axis: str, series: Mapping[str, Sequence[tuple[float, Spread]]]) -> str:
    """
    Draw lines through the medians over a logarithmic x axis, with a line from the least to the most at each.

    The y axis begins at zero; it is logarithmic as well if the values differ by more than a factor of 50.

    :param axis: what x is.
    :param series: label -> x and values; x is above zero.
    """
    points = [point for line in series.values() for point in line]
    xs = sorted({x for x, _ in points})
    high = max((spread.most for _, spread in points), default=0) or 1
    low = min((spread.least for _, spread in points if spread.least > 0), default=high)
    logarithmic = high / low > 50
    right, bottom = _WIDTH - _RIGHT, _TOP + _HEIGHT

    def across(x: float) -> float:
        span = math.log(xs[-1] / xs[0]) if len(xs) > 1 else 1.0
        return _LEFT + (right - _LEFT - 20) * (math.log(x / xs[0]) / span) + 10

    def down(y: float) -> float:
        part = math.log(max(y, low) / low) / math.log(high / low) if logarithmic else y / high
        return bottom - _HEIGHT * part

    parts = []
    for mark in _marks(low, high) if logarithmic else _steps(high):
        parts += [
            _line(_LEFT, down(mark), right, down(mark), "#ddd"),
            _text(_LEFT - 6, down(mark) + 4, number(mark), "s e"),
        ]
    # Of many steps, such as those of growth, every mark would be too many.
    for x in xs if len(xs) <= 10 else [*xs[:: math.ceil(len(xs) / 5)], xs[-1]]:
        parts.append(_text(across(x), bottom + 18, _whole(x, axis), "s m"))
    parts.append(_text((_LEFT + right) / 2, bottom + 36, axis, "m"))
    for index, (label, line) in enumerate(series.items()):
        parts += _curve(_colour(index), [(across(x), spread) for x, spread in line], down)
        y = bottom + _BOTTOM + _LEGEND * index
        parts.append(_box(_LEFT, y, 12, 12, _colour(index)))
        parts.append(_text(_LEFT + 18, y + 10, label, "s"))
    return _svg(title, bottom + _BOTTOM + _LEGEND * len(series) + 4, parts)


def number(value: float) -> str:
    """Write a number with three digits that count, and with a separator of thousands."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"


def _whole(value: float, unit: str) -> str:
    """Write a whole number; of bytes, as people say it."""
    for name, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if unit == "Bytes" and value >= size:
            return f"{value / size:,.0f} {name}"
    return f"{value:,.0f}"


def _curve(colour: str, points: Sequence[tuple[float, Spread]], down: Callable[[float], float]) -> list[str]:
    found = []
    path = []
    for x, spread in points:
        path.append(f"{x:.1f},{down(spread.median):.1f}")
        found.append(_line(x, down(spread.least), x, down(spread.most), colour))
        found.append(f'<circle cx="{x:.1f}" cy="{down(spread.median):.1f}" r="3" fill="{colour}"/>')
    return [f'<polyline points="{" ".join(path)}" fill="none" stroke="{colour}" stroke-width="2"/>', *found]


def _marks(low: float, high: float) -> list[float]:
    """Give the powers of ten within a range."""
    return [10.0**power for power in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)]


def _steps(high: float) -> list[float]:
    """Give four to ten round numbers from zero up."""
    step = 10.0 ** math.floor(math.log10(high))
    while high / step < 4:
        step /= 2
    return [step * index for index in range(math.floor(high / step) + 1)]


def _colour(index: int) -> str:
    return _COLOURS[index % len(_COLOURS)]


def _box(x: float, y: float, width: float, height: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>'


def _text(x: float, y: float, text: str, classes: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{classes}"{more}>{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def _svg(title: str, height: float, parts: Sequence[str]) -> str:
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}" role="img">',
            f"<title>{escape(title)}</title>",
            f"<style>{_STYLE}</style>",
            f'<rect width="{_WIDTH}" height="{height:.0f}" fill="#fff"/>',
            _text(_WIDTH / 2, 18, title, "m", ' font-weight="bold"'),
            *parts,
            "</svg>\n",
        ]
    )
