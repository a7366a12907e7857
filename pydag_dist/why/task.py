"""Why a task is not running: one sentence from what the engine knows of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from pydag_dist.engine import ENDED_TASK_STATES, Reading
from pydag_dist.engine.snapshot import seconds
from pydag_dist.why.facts import Facts, read_facts

NAMED: Final = 3  # tasks in one sentence

# States that a cancelled run's task leaves without ever running again.
_TO_BE_CANCELLED: Final = frozenset({"none", "ready", "queued", "up_for_retry"})
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


def why_task(reading: Reading, run_id: str, task: str) -> str:
    """Why a task is not running, or where it runs, or how it ended; one sentence.

    `UnknownRun` if Redis doesn't have the run, `EngineError` if the run has no such task.
    """
    store = reading.store
    reason, error = store.redis.hmget(store.run_key(run_id), ["reason", "error"])
    if reason == "broken":
        return f"{task} does not go on, since its run was set aside: {error}"
    return explain(read_facts(reading, run_id, task))


def explain(s: Facts) -> str:
    """Why the task is not running, or where it runs, or how it ended; one sentence."""
    if s.task not in s.records:
        return f"{s.task} {not_planned(s)}"
    state = s.record["state"]
    goes_on = s.record["rule"] == "teardown"  # whatever becomes of its run
    if s.run["state"] == "cancelling" and state in _TO_BE_CANCELLED and not goes_on:
        return f"{s.task} is about to be cancelled with its run"
    if s.record["reason"] == "marked" and state in ENDED_TASK_STATES:
        return f"{s.task} was marked {state} by {s.record['worker']} {_end(s)}"
    sentence = _SENTENCES.get(state)
    return f"{s.task} {sentence(s) if sentence else f'is {state}'}"


def not_planned(s: Facts) -> str:
    """What a run waits for that is not planned, or why it never was."""
    if error := s.run.get("error"):
        return f"never ran: its run could not be planned: {error}"
    if s.run["state"] == "cancelled":
        return "never ran: its run was cancelled before a coordinator had planned it"
    if "planner" in s.run:
        return "waits for a coordinator that is planning its run"
    since = _since(seconds(s.run.get("submitted_at")), s.now)
    return (
        f"waits for a coordinator to plan its run, which was submitted {since}: "
        "if this lasts, start one with `pydag coordinator`"
    )


def _none(s: Facts) -> str:
    waited = [up for up in s.upstream[s.task] if s.state_of(up) not in ENDED_TASK_STATES]
    if not waited:
        return (
            "is about to be decided: its upstream tasks have ended, and the engine is still "
            "telling all their downstream tasks"
        )
    waited.sort(key=lambda up: s.state_of(up) == "none")  # what is under way first
    return f"waits for {_counted(len(waited), 'upstream task')}: {_named(s, waited)}"


def _ready(s: Facts) -> str:
    processors = int(s.run["processors"])
    if s.slots == 0:
        return _no_worker(s)
    if s.refusals and not s.able:
        return _nobody_able(s)
    if 0 < processors <= s.active:
        return f"is ready and waits for its run's processors: {s.active} of {processors} are active"
    others = max(0, s.sharing - 1)
    return (
        f"is ready and waits for a slot on queue {s.queue} ({_counted(s.slots, 'slot')}): "
        f"{_counted(s.ahead, 'ready task')} of its run {_is(s.ahead)} ahead of it, and "
        f"{_counted(others, 'other run')} {'shares' if others == 1 else 'share'} the queue"
    ) + (f"; {_refused(s)}, {_listed(s.able[:NAMED])} may be able to" if s.refusals else "")


def _queued(s: Facts) -> str:
    if s.slots == 0:
        return _no_worker(s)
    if s.messages == 0:
        return (
            f"is being started: a worker took its message from queue {s.queue}; "
            "should that worker have died, the message is sent again within seconds"
        )
    first = "its message is the next"
    among = f"{s.messages} messages wait, its own among them"
    return (
        f"is queued and waits for the next free slot on queue {s.queue} "
        f"({_counted(s.slots, 'slot')}), where {first if s.messages == 1 else among}"
    )


def _nobody_able(s: Facts) -> str:
    return (
        f"is ready, but no live worker of queue {s.queue} can run it: {_refused(s)}; it waits for "
        "one that can, and they are asked again now and then"
    )


def _refused(s: Facts) -> str:
    named = [f"{r.worker} gave it back ({r.reason})" for r in s.refusals[:NAMED]]
    if len(s.refusals) > NAMED:
        named.append(f"{len(s.refusals) - NAMED} more did")
    return _listed(named)


def _no_worker(s: Facts) -> str:
    return (
        f"waits for a worker: none listens to its queue {s.queue}; "
        f"start one with `pydag worker -Q {s.queue}`"
    )


def _running(s: Facts) -> str:
    text = f"is running on {s.record['worker']} {_for(s, s.record)}{_try(s.record)}"
    if s.lease_until is not None and s.lease_until < s.now:
        text += (
            f", but that worker's lease ran out {span(s.now - s.lease_until)} ago: "
            "it goes to another worker unless this one is heard of"
        )
    return text


def _deferred(s: Facts) -> str:
    heard = f" (last heard: {s.heard})" if s.heard else ""
    since = f"{_for(s, s.record)}{_try(s.record)}"
    text = f"waits for its remote job {since}{heard}, and holds no slot; "
    if s.slots == 0:
        return f"{text}nobody asks for it, since no worker listens to its queue {s.queue}"
    if s.record["token"]:
        return f"{text}{s.record['worker']} is asking for it"
    if s.poll_at is None or s.poll_at <= s.now:
        return f"{text}the next free slot on queue {s.queue} asks for it"
    return f"{text}it is asked for in {span(s.poll_at - s.now)}"


def _expanding(s: Facts) -> str:
    total, created, ended = s.expansion
    first, last = f"{s.task}.0", f"{s.task}.{total - 1}"
    named = f"{first} to {last}" if total > 1 else first
    if created < total:
        return f"is becoming {total} tasks, {named}; {created} are there"
    have = "has" if ended == 1 else "have"
    return f"became {_counted(total, 'task')}, {named}, of which {ended} {have} ended"


def _up_for_retry(s: Facts) -> str:
    number = int(s.record["try"])
    when = "now"
    if s.retry_at is not None and s.retry_at > s.now:
        when = f"in {span(s.retry_at - s.now)}, at {clock(s.retry_at, s.now)}"
    error = _error(s, s.task)
    return f"waits for try {number + 1}, which starts {when}: try {number} failed{error}"


def _cancelling(s: Facts) -> str:
    if s.record["reason"] == "timeout":
        why = "because it timed out"
    elif s.record["reason"].startswith("mark "):
        why = f"because it was marked {s.record['reason'].removeprefix('mark ')}"
    else:
        why = "with its run" if s.run["state"] == "cancelling" else "because it was revoked"
    if s.record["token"]:
        return f"is being cancelled {why}: {s.record['worker']} still holds it and was told to stop"
    if s.slots == 0:
        return f"is being cancelled {why}, and {_no_worker(s)} to cancel its remote job"
    return (
        f"is being cancelled {why}: it waits for a worker of queue {s.queue} to end its remote job"
    ) + (f"; {_refused(s)}" if s.refusals else "")


def _success(s: Facts) -> str:
    return f"succeeded {_end(s)}{_try(s.record)}"


def _failed(s: Facts) -> str:
    return f"failed {_end(s)}{_try(s.record)}{_error(s, s.task)}"


def _cancelled(s: Facts) -> str:
    why = {
        None: "it was revoked, as Flower can do",
        "cancel": "its run was cancelled",
        "timeout": f"its run took longer than its timeout of {span(float(s.run['timeout']))}",
    }[s.run.get("reason")]
    if not s.record["started_at"]:
        return f"was cancelled before it started: {why}"
    return f"was cancelled {_end(s)}: {why}"


def _upstream_failed(s: Facts) -> str:
    """The nearest task that failed or was cancelled, on a way of tasks that it took with it."""
    todo, seen = deque([(up, up) for up in s.upstream[s.task]]), {s.task}
    while todo:
        name, direct = todo.popleft()
        state = s.state_of(name)
        if state in {"failed", "cancelled"}:
            way = "" if name == direct else f" (upstream of {direct})"
            verb = "failed" if state == "failed" else "was cancelled"
            return f"does not run because {name}{way} {verb}{_error(s, name)}"
        if state == "upstream_failed" and name not in seen:
            seen.add(name)
            todo.extend((up, direct) for up in s.upstream[name])
    return f"does not run by its trigger rule {s.record['rule']}: {_rule_facts(s, s.task)}"


def _skipped(s: Facts) -> str:
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
    why = _error(s, name)
    if not s.records[name]["started_at"]:
        why = ": there was nothing to expand over, or all its children were skipped"
    if name != s.task:
        return f"was skipped with {name} upstream of it, which skipped itself{why}"
    return f"skipped itself {_end(s)}{why}"


_SENTENCES: Final[Mapping[str, Callable[[Facts], str]]] = {
    "none": _none,
    "ready": _ready,
    "queued": _queued,
    "running": _running,
    "deferred": _deferred,
    "expanding": _expanding,
    "up_for_retry": _up_for_retry,
    "cancelling": _cancelling,
    "success": _success,
    "failed": _failed,
    "cancelled": _cancelled,
    "upstream_failed": _upstream_failed,
    "skipped": _skipped,
}


def _rule_facts(s: Facts, task: str) -> str:
    upstream = s.upstream[task]
    return f"upstream of {task} {_is(len(upstream))} {_named(s, upstream)}"


def _named(s: Facts, tasks: Sequence[str]) -> str:
    named = [f"{task} ({s.state_of(task)})" for task in tasks[:NAMED]]
    if len(tasks) > NAMED:
        named.append(f"{len(tasks) - NAMED} more")
    return _listed(named)


def _listed(parts: Iterable[str]) -> str:
    *most, last = parts
    return f"{', '.join(most)} and {last}" if most else last


def _error(s: Facts, task: str) -> str:
    """The first line of a task's error, to end a sentence with."""
    error = s.errors.get(task, "").strip()
    return f": {error.splitlines()[0]}" if error else ""


def _try(record: Mapping[str, str]) -> str:
    number, last = int(record["try"]), int(record["last_try"])
    return f" (try {number} of {last})" if last > 1 else ""


def _for(s: Facts, record: Mapping[str, str]) -> str:
    started = seconds(record["started_at"])
    if started is None:
        return ""
    return f"since {clock(started, s.now)}, for {span(s.now - started)}"


def _end(s: Facts) -> str:
    """When a task ended, where, and after how long; as far as it ever started."""
    started, ended = seconds(s.record["started_at"]), seconds(s.record["ended_at"])
    at = f"at {clock(ended, s.now)}" if ended is not None else ""
    if started is None or ended is None or s.record["reason"] == "marked":
        return at
    return f"{at} after {span(ended - started)} on {s.record['worker']}"


def _since(at: float | None, now: float) -> str:
    return "just now" if at is None or now - at < 1 else f"{span(now - at)} ago"


def _counted(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def _is(number: int) -> str:
    return "is" if number == 1 else "are"


def span(length: float) -> str:
    """A time in words: the two largest units that it needs."""
    if length < 60:
        return f"{length:.3g} s" if length >= 0.1 else "0 s"
    minutes, rest = divmod(round(length), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def clock(at: float, now: float) -> str:
    """A time of day where the reader is, with its date if that isn't today's."""
    local, today = (datetime.fromtimestamp(t, UTC).astimezone() for t in (at, now))
    return local.strftime("%H:%M:%S" if local.date() == today.date() else "%Y-%m-%d %H:%M:%S")
