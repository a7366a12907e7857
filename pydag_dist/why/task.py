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


def explain(facts: Facts) -> str:
    """Why the task is not running, or where it runs, or how it ended; one sentence."""
    if facts.task not in facts.records:
        return f"{facts.task} {not_planned(facts)}"
    state = facts.record["state"]
    goes_on = facts.record["rule"] == "teardown"  # whatever becomes of its run
    if facts.run["state"] == "cancelling" and state in _TO_BE_CANCELLED and not goes_on:
        return f"{facts.task} is about to be cancelled with its run"
    if facts.record["reason"] == TAKEN:
        whose = facts.record["worker"]
        result = f"; its result is that of run {whose}" if whose else ""
        begin = facts.run["from"]
        return f"{facts.task} counts as succeeded, since its run begins at {begin}{result}"
    if facts.record["reason"] == "marked" and state in ENDED_TASK_STATES:
        return f"{facts.task} was marked {state} by {facts.record['worker']} {end_of(facts)}"
    sentence = _SENTENCES.get(state)
    return f"{facts.task} {sentence(facts) if sentence else f'is {state}'}"


def not_planned(facts: Facts) -> str:
    """What a run waits for that is not planned, or why it never was."""
    if error := facts.run.get("error"):
        return f"never ran: its run could not be planned: {error}"
    if facts.run["state"] == "cancelled":
        return "never ran: its run was cancelled before a coordinator had planned it"
    if "planner" in facts.run:
        return "waits for a coordinator that is planning its run"
    since = ago(seconds(facts.run.get("submitted_at")), facts.now)
    return (
        f"waits for a coordinator to plan its run, which was submitted {since}: "
        "if this lasts, start one with `pydag coordinator`, of the version that submitted it"
    )


def _none(facts: Facts) -> str:
    upstream = facts.upstream[facts.task]
    waited = [up for up in upstream if facts.state_of(up) not in ENDED_TASK_STATES]
    if not waited:
        return (
            "is about to be decided: its upstream tasks have ended, and the engine is still "
            "telling all their downstream tasks"
        )
    waited.sort(key=lambda up: facts.state_of(up) == "none")  # what is under way first
    return f"waits for {counted(len(waited), 'upstream task')}: {with_states(facts, waited)}"


def _ready(facts: Facts) -> str:
    processors = int(facts.run["processors"])
    if facts.slots == 0:
        return _no_worker(facts)
    if facts.refusals and not facts.able:
        return _nobody_able(facts)
    if 0 < processors <= facts.active:
        active = f"{facts.active} of {processors} are active"
        return f"is ready and waits for its run's processors: {active}"
    others = max(0, facts.sharing - 1)
    text = (
        f"is ready and waits for a slot on queue {facts.queue} ({counted(facts.slots, 'slot')}): "
        f"{counted(facts.ahead, 'ready task')} of its run {is_or_are(facts.ahead)} ahead of it, "
        f"and {counted(others, 'other run')} {'shares' if others == 1 else 'share'} the queue"
    )
    if facts.refusals:
        text += f"; {_refused(facts)}, {listed(facts.able[:NAMED])} may be able to"
    return text


def _queued(facts: Facts) -> str:
    if facts.slots == 0:
        return _no_worker(facts)
    if facts.messages == 0:
        return (
            f"is being started: a worker took its message from queue {facts.queue}; "
            "should that worker have died, the message is sent again within seconds"
        )
    first = "its message is the next"
    among = f"{facts.messages} messages wait, its own among them"
    return (
        f"is queued and waits for the next free slot on queue {facts.queue} "
        f"({counted(facts.slots, 'slot')}), where {first if facts.messages == 1 else among}"
    )


def _nobody_able(facts: Facts) -> str:
    return (
        f"is ready, but no live worker of queue {facts.queue} can run it: {_refused(facts)}; it "
        "waits for one that can, and they are asked again now and then"
    )


def _refused(facts: Facts) -> str:
    workers: dict[str, list[str]] = {}
    for refusal in facts.refusals[:NAMED]:
        workers.setdefault(refusal.reason, []).append(refusal.worker)
    told = [f"{listed(names)} gave it back ({reason})" for reason, names in workers.items()]
    if len(facts.refusals) > NAMED:
        told.append(f"{len(facts.refusals) - NAMED} more did")
    return listed(told)


def _no_worker(facts: Facts) -> str:
    return (
        f"waits for a worker: none listens to its queue {facts.queue}; "
        f"start one with `pydag worker -Q {facts.queue}`"
    )


def _running(facts: Facts) -> str:
    text = f"is running on {facts.record['worker']} {_for(facts)}{which_try(facts)}"
    if facts.lease_until is not None and facts.lease_until < facts.now:
        text += (
            f", but that worker's lease ran out {span(facts.now - facts.lease_until)} ago: "
            "it goes to another worker unless this one is heard of"
        )
    return text


def _deferred(facts: Facts) -> str:
    heard = f" (last heard: {facts.heard})" if facts.heard else ""
    since = f"{_for(facts)}{which_try(facts)}"
    text = f"waits for its remote job {since}{heard}, and holds no slot; "
    if facts.slots == 0:
        return f"{text}nobody asks for it, since no worker listens to its queue {facts.queue}"
    if facts.record["token"]:
        return f"{text}{facts.record['worker']} is asking for it"
    if facts.poll_at is None or facts.poll_at <= facts.now:
        return f"{text}the next free slot on queue {facts.queue} asks for it"
    return f"{text}it is asked for in {span(facts.poll_at - facts.now)}"


def _expanding(facts: Facts) -> str:
    total, created, ended = facts.expansion
    first, last = f"{facts.task}.0", f"{facts.task}.{total - 1}"
    named = f"{first} to {last}" if total > 1 else first
    if created < total:
        return f"is becoming {total} tasks, {named}; {created} are there"
    have = "has" if ended == 1 else "have"
    return f"became {counted(total, 'task')}, {named}, of which {ended} {have} ended"


def _up_for_retry(facts: Facts) -> str:
    number = int(facts.record["try"])
    when = "now"
    if facts.retry_at is not None and facts.retry_at > facts.now:
        when = f"in {span(facts.retry_at - facts.now)}, at {clock(facts.retry_at, facts.now)}"
    error = error_of(facts, facts.task)
    return f"waits for try {number + 1}, which starts {when}: try {number} failed{error}"


def _cancelling(facts: Facts) -> str:
    if facts.record["reason"] == "timeout":
        why = "because it timed out"
    elif facts.record["reason"].startswith("mark "):
        why = f"because it was marked {facts.record['reason'].removeprefix('mark ')}"
    else:
        why = "with its run" if facts.run["state"] == "cancelling" else "because it was revoked"
    if facts.record["token"]:
        holder = facts.record["worker"]
        return f"is being cancelled {why}: {holder} still holds it and was told to stop"
    if facts.slots == 0:
        return f"is being cancelled {why}, and {_no_worker(facts)} to cancel its remote job"
    return (
        f"is being cancelled {why}: it waits for a worker of queue {facts.queue} to end its remote "
        "job"
    ) + (f"; {_refused(facts)}" if facts.refusals else "")


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


def _for(facts: Facts) -> str:
    started = seconds(facts.record["started_at"])
    if started is None:
        return ""
    return f"since {clock(started, facts.now)}, for {span(facts.now - started)}"
