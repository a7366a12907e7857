"""How states look: colour, glyph and fill, as in `ui/src/states.ts` and `colours.css`."""

from __future__ import annotations

from typing import Final, NamedTuple

from pydag_dist.engine import ENDED_TASK_STATES


class Look(NamedTuple):
    """How a state is shown: its word, its fill, and strokes in a square of 12 by 12."""

    says: str
    fill: str
    glyph: str


# By importance: a box of many tasks shows the first state that it has.
LOOKS: Final = {
    "failed": Look("failed", "solid", "M3 3 9 9M9 3 3 9"),
    "cancelling": Look("cancelling", "hatched", "M3 6H9"),
    "running": Look("running", "solid", "M4 2.5 9.5 6 4 9.5Z"),
    "up_for_retry": Look("up for retry", "hatched", "M9.5 6A3.5 3.5 0 1 1 8.2 3.2M8.5 1V3.6H6"),
    "deferred": Look("deferred", "hatched", "M3 2H9L3 10H9Z"),
    "expanding": Look("expanding", "hatched", "M2 6H10M6 2V10M3 3 9 9M9 3 3 9"),
    "queued": Look("queued", "empty", "M3 3H9M3 6H9M3 9H9"),
    "ready": Look("ready", "empty", "M6 2.5A3.5 3.5 0 1 0 6 9.5A3.5 3.5 0 1 0 6 2.5"),
    "none": Look("waiting", "empty", "M5.5 6H6.5"),
    "upstream_failed": Look("upstream failed", "empty", "M6 10V3M3 6 6 2.5 9 6"),
    "cancelled": Look("cancelled", "empty", "M3 3H9V9H3Z"),
    "skipped": Look("skipped", "empty", "M3 3 6 6 3 9M6.5 3 9.5 6 6.5 9"),
    "success": Look("success", "solid", "M2.5 6.5 5 9 9.5 3.5"),
}
# Along a bar: what has ended at its beginning, what waits at its end.
ALONG: Final = (
    *(state for state in reversed(LOOKS) if state in ENDED_TASK_STATES),
    *(state for state in LOOKS if state not in ENDED_TASK_STATES),
)
# For light and for dark.
COLOURS: Final = {
    "back": ("#ffffff", "#10141a"),
    "text": ("#1a1f25", "#e3e7eb"),
    "faint": ("#5a6470", "#9aa5b1"),
    "line": ("#dce1e6", "#2a313a"),
    "edge": ("#a9b3bd", "#4c5763"),
    "on-state": ("#ffffff", "#0c1015"),
    "success": ("#14784b", "#45b583"),
    "running": ("#0a66ad", "#53a8f0"),
    "failed": ("#b4271f", "#ff8175"),
    "upstream_failed": ("#b4271f", "#ff8175"),
    "up_for_retry": ("#97500a", "#e2a04f"),
    "cancelling": ("#97500a", "#e2a04f"),
    "deferred": ("#5a4bb0", "#a99cf2"),
    "expanding": ("#5a4bb0", "#a99cf2"),
    "queued": ("#44505c", "#b4bec8"),
    "ready": ("#44505c", "#b4bec8"),
    "none": ("#77828d", "#8e99a4"),
    "skipped": ("#77828d", "#8e99a4"),
    "cancelled": ("#6c5a10", "#cdb65a"),
}


def known(state: str) -> str:
    """The state; ``none`` for one that this version doesn't know, as of a damaged record."""
    return state if state in LOOKS else "none"


def length(seconds: float) -> str:
    """Such as "8 ms", "0.4 s", "12 s", "3 min 05 s", "2 h 10 min"."""
    if seconds < 0.0995:
        return f"{max(0, round(seconds * 1000))} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = int(seconds + 0.5)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"
