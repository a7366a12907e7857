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


def success(facts: Facts) -> str:
    """Where it succeeded, and after how long."""
    return f"succeeded {end_of(facts)}{which_try(facts)}"


def failed(facts: Facts) -> str:
    """Where it failed, and by which error."""
    return f"failed {end_of(facts)}{which_try(facts)}{error_of(facts, facts.task)}"


def cancelled(facts: Facts) -> str:
    """Why it was cancelled."""
    why = {
        None: "it was revoked, as Flower can do",
        "cancel": "its run was cancelled",
        "timeout": f"its run took longer than its timeout of {span(float(facts.run['timeout']))}",
    }[facts.run.get("reason")]
    if not facts.record["started_at"]:
        return f"was cancelled before it started: {why}"
    return f"was cancelled {end_of(facts)}: {why}"


def upstream_failed(facts: Facts) -> str:
    """The nearest task that failed or was cancelled, on a way of tasks that it took with it."""
    todo, seen = deque([(up, up) for up in facts.upstream[facts.task]]), {facts.task}
    while todo:
        name, direct = todo.popleft()
        state = facts.state_of(name)
        if state in {"failed", "cancelled"}:
            way = "" if name == direct else f" (upstream of {direct})"
            verb = "failed" if state == "failed" else "was cancelled"
            return f"does not run because {name}{way} {verb}{error_of(facts, name)}"
        if state == "upstream_failed" and name not in seen:
            seen.add(name)
            todo.extend((up, direct) for up in facts.upstream[name])
    rule = facts.record["rule"]
    return f"does not run by its trigger rule {rule}: {_rule_facts(facts, facts.task)}"


def skipped(facts: Facts) -> str:
    """The nearest branch that did not choose the task, or one that it was skipped with."""
    todo, seen = deque([facts.task]), {facts.task}
    while todo:
        name = todo.popleft()
        if facts.records[name]["ready_at"]:
            return _skipped_itself(facts, name)
        whom = "it" if name == facts.task else f"{name} upstream of it"
        for up in facts.upstream[name]:
            if name in facts.skips.get(up, ()):
                return f"was skipped because the branch {up} did not choose {whom}"
        rule = facts.records[name]["rule"]
        if facts.records[name]["reason"] == "marked":
            who = facts.records[name]["worker"]
            return f"was skipped because {name} upstream of it was marked skipped by {who}"
        if rule == "teardown":
            undoes = "that one" if name != facts.task else "it"
            return f"was skipped because the task whose work {undoes} undoes never began"
        skipped = [up for up in facts.upstream[name] if facts.state_of(up) == "skipped"]
        if not skipped or rule not in _SKIPS_CASCADE:
            is_own = name == facts.task
            with_whom = "by its" if is_own else f"with {name} upstream of it, by that one's"
            return f"was skipped {with_whom} trigger rule {rule}: {_rule_facts(facts, name)}"
        todo.extend(up for up in skipped if up not in seen)
        seen.update(skipped)
    raise AssertionError("a DAG has no cycle")


def _skipped_itself(facts: Facts, name: str) -> str:
    """A task that could run, and had nothing to do."""
    why = error_of(facts, name)
    if not facts.records[name]["started_at"]:
        why = ": there was nothing to expand over, or all its children were skipped"
    if name != facts.task:
        return f"was skipped with {name} upstream of it, which skipped itself{why}"
    return f"skipped itself {end_of(facts)}{why}"


def _rule_facts(facts: Facts, task: str) -> str:
    upstream = facts.upstream[task]
    return f"upstream of {task} {is_or_are(len(upstream))} {with_states(facts, upstream)}"
