"""SVG that any viewer shows: no script, no font, nothing from elsewhere; every text is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final
from xml.sax.saxutils import escape

from pydag_dist.cli.pictures.looks import COLOURS, LOOKS, known
from pydag_dist.visible import one_line

# Classes of elements, as some viewers know no variables of CSS: `s` is a state's strokes, `f` its
# fill, `h` the strokes of its hatching, `g` its glyph.
_FONT: Final = "font:12px system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif"
_FIXED: Final = (
    f"text{{{_FONT}}}.big{{font-weight:600;font-size:15px}}.n{{font-size:11px}}.end{{text-anchor:end}}"
    ".g,.edge,.usual,.wait,.l{fill:none}.g{stroke-width:1.6;stroke-linecap:round;stroke-linejoin:round}"
    ".edge{stroke-width:1.2}.usual{stroke-dasharray:3 2}.bold{font-weight:600}"
    ".waited{fill:url(#h-wait)}"
)


def _colours(which: int) -> str:
    """The rules that hold for colours: 0 those of light, 1 those of dark."""
    of = {name: pair[which] for name, pair in COLOURS.items()}
    rules = [
        f".back{{fill:{of['back']}}}text,.mark{{fill:{of['text']}}}.n{{fill:{of['faint']}}}",
        f".edge,.wait{{stroke:{of['edge']}}}.b{{fill:{of['back']};stroke:{of['line']}}}",
        f".l{{stroke:{of['line']}}}.usual{{stroke:{of['faint']}}}.on{{stroke:{of['on-state']}}}",
    ]
    for state, look in LOOKS.items():
        colour = of[state]
        fill = {"solid": colour, "hatched": f"url(#h-{state})", "empty": of["back"]}[look.fill]
        rules.append(f".s-{state}{{stroke:{colour}}}.f-{state}{{fill:{fill};stroke:{colour}}}")
        rules.append(f".e-{state}{{fill:{colour}}}")
    return "".join(rules)


def picture(width: float, height: float, title: str, parts: Iterable[str]) -> str:
    """The whole file; light or dark as its viewer prefers."""
    hatched = "".join(
        _hatching(f"h-{state}", f"s-{state}", 5, 2)
        for state, look in LOOKS.items()
        if look.fill == "hatched"
    )
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{num(width)}" height="{num(height)}" '
        f'viewBox="0 0 {num(width)} {num(height)}" role="img">'
        f"<title>{text(title)}</title>"
        f"<style>{_FIXED}{_colours(0)}"
        f"@media(prefers-color-scheme:dark){{{_colours(1)}}}</style>"
        f"<defs>{hatched}{_hatching('h-wait', 'wait', 5, 1)}</defs>"
        '<rect class="back" width="100%" height="100%"/>'
    )
    return "\n".join([head, *parts, "</svg>\n"])


def _hatching(name: str, strokes: str, every: int, width: int) -> str:
    return (
        f'<pattern id="{name}" width="{every}" height="{every}" patternUnits="userSpaceOnUse" '
        f'patternTransform="rotate(45)"><path class="{strokes}" stroke-width="{width * 2}" '
        f'd="M0 0V{every}"/></pattern>'
    )


def heading(value: str) -> str:
    """The largest line of a picture, cut if it is long."""
    short = text(cut(value, 100))
    return f'<text class="big" x="16" y="24">{short}<title>{text(value)}</title></text>'


def text(value: str) -> str:
    """A text from outside between tags, on one line; controls are shown, which XML has not."""
    return escape(one_line(value))


def num(value: float) -> str:
    """A coordinate, to a tenth."""
    return f"{round(value, 1):g}" if abs(value) < 1e5 else f"{value:.0f}"


def cut(value: str, most: int) -> str:
    """Its beginning, if it is longer than so many characters; a title has all of it."""
    return value if len(value) <= most else f"{value[: most - 1]}…"


def glyph(state: str, x: float, y: float, css: str = "") -> str:
    """The strokes of a state, in a square of 12 by 12."""
    return (
        f'<path class="g {css or f"s-{known(state)}"}" transform="translate({num(x)} {num(y)})" '
        f'd="{LOOKS[known(state)].glyph}"/>'
    )


def badge(state: str, x: float, y: float) -> str:
    """The glyph of a state on its fill, in a square of 16 by 16."""
    is_solid = LOOKS[known(state)].fill == "solid"
    css = f"f-{known(state)}" if is_solid else f"back s-{known(state)}"  # no glyph on hatching
    return (
        f'<rect class="{css}" x="{num(x + 0.5)}" y="{num(y + 0.5)}" width="15" height="15" rx="2"/>'
        f"{glyph(state, x + 2, y + 2, 'on' if is_solid else '')}"
    )


def legend(counts: Mapping[str, int], y: float) -> tuple[str, float]:
    """What the states look like, with how many tasks each has; and how wide that is."""
    parts, x = [], 16.0
    for state, look in LOOKS.items():
        if not counts.get(state):
            continue
        words = f"{counts[state]:,} {look.says}"
        parts.append(
            f'{badge(state, x, y - 12)}<text x="{num(x + 21)}" y="{num(y)}">{words}</text>'
        )
        x += 40 + 6.6 * len(words)
    return "".join(parts), x
