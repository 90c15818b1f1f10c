"""The drawings of docs/how-it-works.md: ``python docs/pictures.py`` writes docs/pictures/{corridor,window,ways}.svg.

Text is drawn large enough to be read at the width of a telephone.
"""

from __future__ import annotations

import sys
from pathlib import Path
from xml.sax.saxutils import escape

PICTURES = Path(__file__).resolve().parent / "pictures"
INK, SOFT, LINE, PYTHON, CORE, YOURS = "#1f2933", "#52606d", "#9aa5b1", "#fff3d6", "#dfe3fb", "#e3f1e4"


class Drawing:
    """An SVG of boxes, arrows and text, on a white card."""

    def __init__(self, title: str, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img"'
            ' font-family="system-ui, sans-serif">',
            f"<title>{escape(title)}</title>",
            '<defs><marker id="end" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
            f'<path d="M0 0L8 4L0 8z" fill="{SOFT}"/></marker></defs>',
            f'<rect width="{width}" height="{height}" rx="6" fill="#fff"/>',
        ]

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: int = 14,
        colour: str = INK,
        anchor: str = "start",
        *,
        bold: bool = False,
    ) -> None:
        weight = ' font-weight="600"' if bold else ""
        self.lines.append(
            f'<text x="{x}" y="{y}" font-size="{size}" fill="{colour}" text-anchor="{anchor}"{weight}>{escape(text)}</text>'
        )

    def rect(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        fill: str,
        stroke: str = LINE,
        radius: int = 5,
        dash: str = "",
    ) -> None:
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self.lines.append(
            f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="{radius}" fill="{fill}" stroke="{stroke}"{dashed}/>'
        )

    def box(self, x: float, y: float, width: float, height: float, text: str, fill: str, size: int = 14) -> None:
        self.rect(x, y, width, height, fill)
        self.text(x + width / 2, y + height / 2 + size * 0.35, text, size, anchor="middle")

    def arrow(self, *points: tuple[float, float]) -> None:
        path = "M" + "L".join(f"{x} {y}" for x, y in points)
        self.lines.append(f'<path d="{path}" fill="none" stroke="{SOFT}" stroke-width="1.5" marker-end="url(#end)"/>')

    def svg(self) -> str:
        return "\n".join([*self.lines, "</svg>"]) + "\n"


def _snake(drawing: Drawing, y: float, rows: list[list[str]], fill: str, left: float, width: float) -> float:
    """Rows of boxes, joined from left to right and from row to row; where they end."""
    gap, high = 18, 34
    for number, row in enumerate(rows):
        each = (width - gap * (len(row) - 1)) / len(row)
        for place, name in enumerate(row):
            x = left + place * (each + gap)
            drawing.box(x, y, each, high, name, fill)
            if place:
                drawing.arrow((x - gap + 1, y + high / 2), (x - 2, y + high / 2))
        if number + 1 < len(rows):
            middle = y + high + 11
            end, begin = (
                left + width - each / 2,
                left + (width - gap * (len(rows[number + 1]) - 1)) / len(rows[number + 1]) / 2,
            )
            drawing.arrow((end, y + high), (end, middle), (begin, middle), (begin, y + high + 20))
        y += high + 22
    return y - 22


def corridor() -> str:
    """How data walks."""
    drawing = Drawing("How data walks", 480, 426)
    drawing.rect(10, 10, 460, 152, "#fffdf7", LINE, 8)
    drawing.text(22, 34, "Python: names, policy, torch", 14, SOFT, bold=True)
    end = _snake(
        drawing, 50, [["data set", "find_sample", "sampler"], ["thread_iterator", "batch_samples"]], PYTHON, 22, 436
    )
    drawing.arrow((240, end + 22), (240, 190))
    drawing.text(252, 184, "without Python's lock", 13, SOFT)
    drawing.rect(10, 192, 460, 152, "#f7f8ff", LINE, 8)
    drawing.text(22, 216, "C++: bytes to pixels; no Python, no torch", 14, SOFT, bold=True)
    _snake(drawing, 232, [["read", "header", "draw", "decode"], ["resample", "augment", "pack"]], CORE, 22, 436)
    drawing.arrow((240, 344), (240, 368))
    drawing.box(120, 372, 240, 38, "the batch: one tensor, yours", YOURS)
    return drawing.svg()


def window() -> str:
    """What of a photo is decoded."""
    drawing = Drawing("Only the window is decoded", 480, 316)
    left, top, width, height = 20, 20, 440, 260
    drawing.rect(left, top, width, height, "#eef0f3", LINE, 2)
    x, y, wide, high = 150, 110, 170, 110
    drawing.rect(left, top, width, y - top, "#e0e5ec", "none", 0)
    drawing.text(left + 12, top + 26, "above: at most the codes are read, no pixels are made", 14)
    drawing.rect(x, y, wide, high, CORE, "#3949ab", 2)
    drawing.text(x + wide / 2, y + high / 2, "the window:", 14, anchor="middle", bold=True)
    drawing.text(x + wide / 2, y + high / 2 + 20, "every pixel exact", 14, anchor="middle")
    drawing.text(left + 12, y + 50, "beside it:", 14)
    drawing.text(left + 12, y + 68, "no pixels", 14)
    drawing.text(x + wide + 12, y + 50, "beside it:", 14)
    drawing.text(x + wide + 12, y + 68, "no pixels", 14)
    drawing.rect(left, y + high, width, top + height - y - high, "#fff", LINE, 0, "4 3")
    drawing.text(left + 12, y + high + 26, "below: never decoded", 14)
    drawing.text(left, 304, "A photo, and the window that RandomResizedCrop drew", 13, SOFT)
    return drawing.svg()


def ways() -> str:
    """Who makes the batches."""
    drawing = Drawing("Who makes the batches", 480, 348)
    rows = [
        ("Native threads", "threads of this process", [("read, decode, transform", CORE), ("batch", CORE)]),
        (
            "Native samples in torch's workers",
            "processes",
            [("read, decode, transform", CORE), ("your code", YOURS), ("batch", PYTHON)],
        ),
        ("Stock", "processes", [("your __getitem__", YOURS), ("lazy images", CORE), ("batch", PYTHON)]),
    ]
    y = 18
    for name, where, parts in rows:
        drawing.text(14, y + 16, name, 15, bold=True)
        drawing.text(466, y + 16, where, 13, SOFT, anchor="end")
        drawing.rect(10, y + 26, 460, 52, "#fbfbfc", LINE, 6)
        weights = [2 if len(text) > 16 else 1.3 for text, _ in parts]
        room, x = 440 - 16 * (len(parts) - 1), 20.0
        for number, ((text, fill), weight) in enumerate(zip(parts, weights, strict=True)):
            wide = room * weight / sum(weights)
            drawing.box(round(x, 1), y + 35, round(wide, 1), 34, text, fill, 13)
            if number:
                drawing.arrow((round(x - 15, 1), y + 52), (round(x - 2, 1), y + 52))
            x += wide + 16
        y += 98
    for number, (text, fill) in enumerate((("the engine", CORE), ("your code", YOURS), ("torch", PYTHON))):
        drawing.rect(14 + number * 130, y + 2, 18, 18, fill)
        drawing.text(40 + number * 130, y + 16, text, 13, SOFT)
    return drawing.svg()


DRAWN = {"corridor": corridor, "window": window, "ways": ways}


def main() -> int:
    for name, draw in DRAWN.items():
        (PICTURES / f"{name}.svg").write_text(draw(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
