"""A comparison of two loaders as a chart: bars on a terminal, and a picture."""

from __future__ import annotations

import html
from collections.abc import Iterator

from fastload.diagnosis.side_by_side import Comparison

_NAME, _COLUMNS, _FEWEST = 9, 40, 10  # letters: of a loader's name, of the longest bar, of the shortest that it may be
_BAR, _LEFT, _ROW, _TOP = 380, 90, 46, 92  # pixels: the longest bar, what is left of it, a row, what is above the first

_PICTURE = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img"
  font-family="system-ui, sans-serif" font-size="14">
<title>{title}</title>
<style>
  rect.paper {{ fill: #fff }} text {{ fill: #222 }} text.small {{ fill: #666; font-size: 12px }} rect.torch {{ fill: #9aa0a6 }}
  rect.fastload {{ fill: #e8590c }}
  @media (prefers-color-scheme: dark) {{ rect.paper {{ fill: #1b1b1b }} text {{ fill: #eee }} text.small {{ fill: #aaa }} }}
</style>
<rect class="paper" width="100%" height="100%"/>
<text x="16" y="32" font-size="19" font-weight="600">{title}</text>
<text class="small" x="16" y="56">{subtitle}</text>
<text class="small" x="16" y="74">images a second, median of {runs} epochs; the lines are the slowest and the fastest</text>
{bars}
<text class="small" x="16" y="{foot}">{versions}</text>
</svg>
"""


def comparison_bars(found: Comparison, block: str = "█", width: int = 120) -> Iterator[str]:
    """A line a loader: its bar, the images a second that it reached, and the slowest and fastest run, below where it is narrow."""
    medians = {name: f" {median:>9,.0f} images/s" for name, median in found.medians.items()}
    spreads = {
        name: f"({min(rates):,.0f} to {max(rates):,.0f} in {len(rates)} runs)" for name, rates in found.rates.items()
    }
    room = width - _NAME - max(map(len, medians.values()))
    beside = room - 2 - max(map(len, spreads.values())) >= _FEWEST
    if beside:
        room -= 2 + max(map(len, spreads.values()))
    longest = min(_COLUMNS, max(_FEWEST, room))
    top = max(found.medians.values())
    for name, median in medians.items():
        bar = block * max(1, round(longest * found.medians[name] / top))
        line = f"{name:<{_NAME}}{bar:<{longest}}{median}"
        yield f"{line}  {spreads[name]}" if beside else line
        if not beside:
            yield f"{'':<{_NAME}}{spreads[name]}"


def comparison_picture(found: Comparison, versions: str) -> str:
    """An SVG, for a light page and a dark one. Every batch of ``found`` was equal.

    Args:
        versions: of what was measured, and on what; the last line.
    """
    rows = "\n".join(_rows(found))
    foot = _TOP + _ROW * len(found.rates) + 22
    return _PICTURE.format(
        width=_LEFT + _BAR + 150,
        height=foot + 18,
        foot=foot,
        bars=rows,
        runs=max(map(len, found.rates.values())),
        title=f"fastload is {found.times_as_fast:.2f} times as fast, and gives the same batches",
        subtitle=html.escape(
            f"{found.images:,} images ({found.what}); all {found.batches:,} batches equal, bit for bit; "
            f"{found.workers} workers or threads"
        ),
        versions=html.escape(versions),
    )


def _rows(found: Comparison) -> Iterator[str]:
    longest = max(map(max, found.rates.values()))
    for number, (name, rates) in enumerate(found.rates.items()):
        y = _TOP + number * _ROW
        length, low, high = (_BAR * rate / longest for rate in (found.medians[name], min(rates), max(rates)))
        middle = y + 15
        yield f'<text x="{_LEFT - 10}" y="{y + 20}" text-anchor="end">{html.escape(name)}</text>'
        yield f'<rect class="{html.escape(name)}" x="{_LEFT}" y="{y}" width="{length:.1f}" height="30" rx="3"/>'
        yield (
            f'<path d="M{_LEFT + low:.1f} {middle - 5}v10m0-5H{_LEFT + high:.1f}m0-5v10" stroke="#444" fill="none"/>'
            f'<text x="{_LEFT + max(length, high) + 10:.1f}" y="{y + 20}">{found.medians[name]:,.0f}</text>'
        )
