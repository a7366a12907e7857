"""How a task has ended, and because of which other task."""

from __future__ import annotations

from collections import deque
from typing import Final

from pydag_dist.why.facts import Facts
from pydag_dist.why.words import end_of, error_of, is_or_are, span, which_try, with_states

# Rules by which a skipped upstream task can make a task skipped.
_SKIPS_CASCADE: Final = frozenset(
    {
        "all_success",
        "all_failed",
        "one_success",
        "none_failed_min_one_success",
        "none_skipped",
        "all_done_min_one_success",
    }
)


def success(s: Facts) -> str:
    """Where it succeeded, and after how long."""
    return f"succeeded {end_of(s)}{which_try(s.record)}"


def failed(s: Facts) -> str:
    """Where it failed, and by which error."""
    return f"failed {end_of(s)}{which_try(s.record)}{error_of(s, s.task)}"


def cancelled(s: Facts) -> str:
    """Why it was cancelled."""
    why = {
        None: "it was revoked, as Flower can do",
        "cancel": "its run was cancelled",
        "timeout": f"its run took longer than its timeout of {span(float(s.run['timeout']))}",
    }[s.run.get("reason")]
    if not s.record["started_at"]:
        return f"was cancelled before it started: {why}"
    return f"was cancelled {end_of(s)}: {why}"


def upstream_failed(s: Facts) -> str:
    """The nearest task that failed or was cancelled, on a way of tasks that it took with it."""
    todo, seen = deque([(up, up) for up in s.upstream[s.task]]), {s.task}
    while todo:
        name, direct = todo.popleft()
        state = s.state_of(name)
        if state in {"failed", "cancelled"}:
            way = "" if name == direct else f" (upstream of {direct})"
            verb = "failed" if state == "failed" else "was cancelled"
            return f"does not run because {name}{way} {verb}{error_of(s, name)}"
        if state == "upstream_failed" and name not in seen:
            seen.add(name)
            todo.extend((up, direct) for up in s.upstream[name])
    return f"does not run by its trigger rule {s.record['rule']}: {_rule_facts(s, s.task)}"


def skipped(s: Facts) -> str:
    """The nearest branch that did not choose the task, or one that it was skipped with."""
    todo, seen = deque([s.task]), {s.task}
    while todo:
        name = todo.popleft()
        if s.records[name]["ready_at"]:
            return _skipped_itself(s, name)
        whom = "it" if name == s.task else f"{name} upstream of it"
        for up in s.upstream[name]:
            if name in s.skips.get(up, ()):
                return f"was skipped because the branch {up} did not choose {whom}"
        rule = s.records[name]["rule"]
        if s.records[name]["reason"] == "marked":
            who = s.records[name]["worker"]
            return f"was skipped because {name} upstream of it was marked skipped by {who}"
        if rule == "teardown":
            undoes = "that one" if name != s.task else "it"
            return f"was skipped because the task whose work {undoes} undoes never began"
        skipped = [up for up in s.upstream[name] if s.state_of(up) == "skipped"]
        if not skipped or rule not in _SKIPS_CASCADE:
            with_whom = "by its" if name == s.task else f"with {name} upstream of it, by that one's"
            return f"was skipped {with_whom} trigger rule {rule}: {_rule_facts(s, name)}"
        todo.extend(up for up in skipped if up not in seen)
        seen.update(skipped)
    raise AssertionError("a DAG has no cycle")


def _skipped_itself(s: Facts, name: str) -> str:
    """A task that could run, and had nothing to do."""
    why = error_of(s, name)
    if not s.records[name]["started_at"]:
        why = ": there was nothing to expand over, or all its children were skipped"
    if name != s.task:
        return f"was skipped with {name} upstream of it, which skipped itself{why}"
    return f"skipped itself {end_of(s)}{why}"


def _rule_facts(s: Facts, task: str) -> str:
    upstream = s.upstream[task]
    return f"upstream of {task} {is_or_are(len(upstream))} {with_states(s, upstream)}"
