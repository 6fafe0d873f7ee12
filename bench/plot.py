"""Small SVG plots, drawn by hand: no plotting library is worth its weight here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

_WIDTH = 760
_LEFT = 150
_RIGHT = 60
_ROW = 34
_TOP = 50
_OURS, _PEER, _GREY, _INK = "#1f6feb", "#8b949e", "#d0d7de", "#24292f"
_STYLE = "font-family='system-ui, sans-serif' font-size='12'"


def bars(
    spreads: Mapping[str, tuple[float, float, float]],
    *,
    ours: set[str],
    floor: float,
    title: str,
) -> str:
    """One bar for each name.

    Args:
        spreads: Median (the bar), p95 (the end of the thin line) and minimum (its start), ms.
        ours: Names in our colour.
        floor: A dashed line there, ms.
        title: Above the plot.
    """
    most = _round_up(max((p95 for _, p95, _ in spreads.values()), default=1000.0))
    height = _TOP + _ROW * len(spreads) + 40
    scale = (_WIDTH - _LEFT - _RIGHT) / most
    parts = [_text(_LEFT, 22, title, weight="bold")]
    for at in range(0, round(most) + 1, _step(most)):
        x = _LEFT + at * scale
        parts.append(_line(x, _TOP - 10, x, height - 36, _GREY))
        parts.append(_text(x, height - 20, f"{at}", anchor="middle"))
    for i, (name, (p50, p95, least)) in enumerate(spreads.items()):
        y = _TOP + i * _ROW
        colour = _OURS if name in ours else _PEER
        parts.append(_text(_LEFT - 8, y + 15, name, anchor="end"))
        parts.append(
            f"<rect x='{_LEFT}' y='{y}' width='{p50 * scale:.1f}' height='20' fill='{colour}'/>"
        )
        parts.append(_line(_LEFT + least * scale, y + 10, _LEFT + p95 * scale, y + 10, _INK))
        parts.append(_text(_LEFT + p95 * scale + 5, y + 14, f"{p50:.0f}"))
    x = _LEFT + floor * scale
    parts.append(_line(x, _TOP - 10, x, height - 36, _INK, dash=True))
    parts.append(
        _text(_LEFT, height - 4, "ms; bar: p50, line: min to p95, dashes: transport floor")
    )
    return _svg(height, parts)


def curves(
    series: Mapping[str, Sequence[tuple[float, float]]],
    *,
    ours: set[str],
    title: str,
    x_label: str,
    y_label: str,
) -> str:
    """One curve for each name, through points (x, y in percent); a single point is a dot."""
    height, bottom, top = 420, 370, 60
    most_x = _round_up(max((x for points in series.values() for x, _ in points), default=1.0))
    most_y = max(10.0, *(y for points in series.values() for _, y in points))
    across, up = (_WIDTH - _LEFT - _RIGHT) / most_x, (bottom - top) / most_y
    parts = [_text(_LEFT, 22, title, weight="bold"), _text(_LEFT, 42, f"{y_label} over {x_label}")]
    for at in range(0, round(most_x) + 1, _step(most_x)):
        x = _LEFT + at * across
        parts += [_line(x, top, x, bottom, _GREY), _text(x, bottom + 16, f"{at}", anchor="middle")]
    for at in range(0, round(most_y) + 1, 5):
        y = bottom - at * up
        parts += [_line(_LEFT, y, _WIDTH - _RIGHT, y, _GREY)]
        parts.append(_text(_LEFT - 8, y + 4, f"{at} %", anchor="end"))
    dashes = ("", "6 3", "2 3", "8 3 2 3")
    for i, (name, points) in enumerate(series.items()):
        colour = _OURS if name in ours else _PEER
        at_pixels = [(_LEFT + x * across, bottom - y * up) for x, y in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in at_pixels)
        parts.append(
            f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='2' "
            f"stroke-dasharray='{dashes[i % len(dashes)]}'/>"
        )
        if len(at_pixels) == 1:
            x, y = at_pixels[0]
            parts.append(f"<circle cx='{x:.1f}' cy='{y:.1f}' r='5' fill='{colour}'/>")
        y = top + 14 + 16 * i
        parts.append(
            f"<line x1='{_WIDTH - 330}' y1='{y - 4}' x2='{_WIDTH - 300}' y2='{y - 4}' "
            f"stroke='{colour}' stroke-width='2' stroke-dasharray='{dashes[i % len(dashes)]}'/>"
        )
        parts.append(_text(_WIDTH - 294, y, name))
    return _svg(height, parts)


def _svg(height: int, parts: Sequence[str]) -> str:
    body = "\n".join(parts)
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {_WIDTH} {height}' {_STYLE}>\n"
        f"<rect width='100%' height='100%' fill='white'/>\n{body}\n</svg>\n"
    )


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal") -> str:
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}' font-weight='{weight}' "
        f"fill='{_INK}'>{escape(text)}</text>"
    )


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, *, dash: bool = False) -> str:
    dashes = " stroke-dasharray='4 3'" if dash else ""
    return (
        f"<line x1='{x1:.1f}' y1='{y1:.1f}' x2='{x2:.1f}' y2='{y2:.1f}' "
        f"stroke='{colour}' stroke-width='1.5'{dashes}/>"
    )


def _step(most: float) -> int:
    return next((step for step in (10, 50, 100, 200, 250, 500) if most / step <= 8), 1000)


def _round_up(value: float) -> float:
    step = _step(value)
    return step * (value // step + 1)
