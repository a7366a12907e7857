"""Why a task is not running: one sentence from what the engine knows of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from pydag_dist.dag.text.quote import counted
from pydag_dist.engine import ENDED_TASK_STATES, Reading
from pydag_dist.engine.head import seconds
from pydag_dist.engine.protocol import TAKEN
from pydag_dist.why.ended import cancelled, failed, skipped, success, upstream_failed
from pydag_dist.why.facts import Facts, read_facts
from pydag_dist.why.words import (
    NAMED,
    ago,
    clock,
    end_of,
    error_of,
    is_or_are,
    listed,
    span,
    which_try,
    with_states,
)

if TYPE_CHECKING:
    from pydag_dist.dag import Dag

# States that a cancelled run's task leaves without ever running again.
_TO_BE_CANCELLED: Final = frozenset({"none", "ready", "queued", "up_for_retry"})


def why_task(reading: Reading, run_id: str, task: str, dag: Dag | None = None) -> str:
    """Why a task is not running, or where it runs, or how it ended; one sentence.

    The run's `dag` is read if it isn't given. `UnknownRun` if Redis doesn't have the run,
    `EngineError` if the run has no such task.
    """
    store = reading.store
    reason, error = store.redis.hmget(store.run_key(run_id), ["reason", "error"])
    if reason == "broken":
        return f"{task} does not go on, since its run was set aside: {error}"
    return explain(read_facts(reading, run_id, task, dag))


def explain(s: Facts) -> str:
    """Why the task is not running, or where it runs, or how it ended; one sentence."""
    if s.task not in s.records:
        return f"{s.task} {not_planned(s)}"
    state = s.record["state"]
    goes_on = s.record["rule"] == "teardown"  # whatever becomes of its run
    if s.run["state"] == "cancelling" and state in _TO_BE_CANCELLED and not goes_on:
        return f"{s.task} is about to be cancelled with its run"
    if s.record["reason"] == TAKEN:
        whose = s.record["worker"]
        result = f"; its result is that of run {whose}" if whose else ""
        return f"{s.task} counts as succeeded, since its run begins at {s.run['from']}{result}"
    if s.record["reason"] == "marked" and state in ENDED_TASK_STATES:
        return f"{s.task} was marked {state} by {s.record['worker']} {end_of(s)}"
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
    since = ago(seconds(s.run.get("submitted_at")), s.now)
    return (
        f"waits for a coordinator to plan its run, which was submitted {since}: "
        "if this lasts, start one with `pydag coordinator`, of the version that submitted it"
    )


def _none(s: Facts) -> str:
    waited = [up for up in s.upstream[s.task] if s.state_of(up) not in ENDED_TASK_STATES]
    if not waited:
        return (
            "is about to be decided: its upstream tasks have ended, and the engine is still "
            "telling all their downstream tasks"
        )
    waited.sort(key=lambda up: s.state_of(up) == "none")  # what is under way first
    return f"waits for {counted(len(waited), 'upstream task')}: {with_states(s, waited)}"


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
        f"is ready and waits for a slot on queue {s.queue} ({counted(s.slots, 'slot')}): "
        f"{counted(s.ahead, 'ready task')} of its run {is_or_are(s.ahead)} ahead of it, and "
        f"{counted(others, 'other run')} {'shares' if others == 1 else 'share'} the queue"
    ) + (f"; {_refused(s)}, {listed(s.able[:NAMED])} may be able to" if s.refusals else "")


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
        f"({counted(s.slots, 'slot')}), where {first if s.messages == 1 else among}"
    )


def _nobody_able(s: Facts) -> str:
    return (
        f"is ready, but no live worker of queue {s.queue} can run it: {_refused(s)}; it waits for "
        "one that can, and they are asked again now and then"
    )


def _refused(s: Facts) -> str:
    workers: dict[str, list[str]] = {}
    for refusal in s.refusals[:NAMED]:
        workers.setdefault(refusal.reason, []).append(refusal.worker)
    told = [f"{listed(names)} gave it back ({reason})" for reason, names in workers.items()]
    if len(s.refusals) > NAMED:
        told.append(f"{len(s.refusals) - NAMED} more did")
    return listed(told)


def _no_worker(s: Facts) -> str:
    return (
        f"waits for a worker: none listens to its queue {s.queue}; "
        f"start one with `pydag worker -Q {s.queue}`"
    )


def _running(s: Facts) -> str:
    text = f"is running on {s.record['worker']} {_for(s, s.record)}{which_try(s.record)}"
    if s.lease_until is not None and s.lease_until < s.now:
        text += (
            f", but that worker's lease ran out {span(s.now - s.lease_until)} ago: "
            "it goes to another worker unless this one is heard of"
        )
    return text


def _deferred(s: Facts) -> str:
    heard = f" (last heard: {s.heard})" if s.heard else ""
    since = f"{_for(s, s.record)}{which_try(s.record)}"
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
    return f"became {counted(total, 'task')}, {named}, of which {ended} {have} ended"


def _up_for_retry(s: Facts) -> str:
    number = int(s.record["try"])
    when = "now"
    if s.retry_at is not None and s.retry_at > s.now:
        when = f"in {span(s.retry_at - s.now)}, at {clock(s.retry_at, s.now)}"
    error = error_of(s, s.task)
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


_SENTENCES: Final[Mapping[str, Callable[[Facts], str]]] = {
    "none": _none,
    "ready": _ready,
    "queued": _queued,
    "running": _running,
    "deferred": _deferred,
    "expanding": _expanding,
    "up_for_retry": _up_for_retry,
    "cancelling": _cancelling,
    "success": success,
    "failed": failed,
    "cancelled": cancelled,
    "upstream_failed": upstream_failed,
    "skipped": skipped,
}


def _for(s: Facts, record: Mapping[str, str]) -> str:
    started = seconds(record["started_at"])
    if started is None:
        return ""
    return f"since {clock(started, s.now)}, for {span(s.now - started)}"
