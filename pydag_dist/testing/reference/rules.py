"""What trigger rules decide, in plain Python."""

from __future__ import annotations

from collections.abc import Collection

FAILED = {"failed", "upstream_failed", "cancelled"}


def decide(rule: str, heard: Collection[str], upstream: int, asks: bool = False) -> str | None:
    """What becomes of a task that has heard of these ends of its upstream tasks.

    `asks`: whether a branch among these has not ended, which may skip the task.
    """
    done = len(heard) == upstream
    some_failed = any(state in FAILED for state in heard)
    some_ok = "success" in heard
    some_skipped = "skipped" in heard
    all_skipped = done and set(heard) == {"skipped"}
    verdicts: dict[str, list[tuple[bool, str]]] = {
        "all_success": [
            (some_failed, "upstream_failed"),
            (done and some_skipped, "skipped"),
            (done, "ready"),
        ],
        "all_done": [(done, "ready")],
        "all_failed": [(some_ok or some_skipped, "skipped"), (done, "ready")],
        "one_success": [
            (some_ok, "ready"),
            (all_skipped, "skipped"),
            (done, "upstream_failed"),
        ],
        "all_skipped": [(some_ok or some_failed, "skipped"), (done, "ready")],
        "all_done_min_one_success": [
            (some_skipped, "skipped"),
            (done and some_ok, "ready"),
            (done, "upstream_failed"),
        ],
        "one_done": [
            (bool({"success", "failed", "cancelled"}.intersection(heard)), "ready"),
            (done, "skipped"),
        ],
        "one_failed": [(some_failed, "ready"), (done, "skipped")],
        "none_failed": [(some_failed, "upstream_failed"), (done, "ready")],
        "none_failed_min_one_success": [
            (some_failed, "upstream_failed"),
            (all_skipped, "skipped"),
            (done, "ready"),
        ],
        "none_skipped": [(some_skipped, "skipped"), (done, "ready")],
        "always": [(True, "ready")],
        "teardown": [(done, "ready")],
    }
    if upstream == 0 or rule == "always":
        return "ready"
    if asks:
        return None
    return next((state for holds, state in verdicts[rule] if holds), None)
