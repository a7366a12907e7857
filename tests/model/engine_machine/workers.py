"""What workers do."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from pydag_dist.engine import Claim, Deferral, End, Held
from pydag_dist.testing.reference import Message
from pydag_dist.testing.reference.workers import RefEnd
from tests.model.engine_machine.clients import Clients
from tests.model.engine_machine.comparison import WORKERS, celery_id
from tests.model.engine_machine.dags import QUEUES

GROUPS = ("bigquery.query:a", "bigquery.query:b")
DEFERRED = tuple(f"deferred {group}" for group in GROUPS)
OUTCOMES = st.sampled_from(
    [
        *("success", "success", "success", "failed", "failed", *DEFERRED),
        *("skipped", "final", "dead", "stopped", "lost", "revoked"),
    ]
)
PROCESSES = (1, 2)
NEEDS = ("module:a", "module:b", "connection:a", "")


class Workers(Clients):
    """Workers come and go, take messages, and report what they held, in time or late."""

    @rule(queue=st.sampled_from(QUEUES), slots=st.integers(0, 3), worker=st.sampled_from(WORKERS))
    def worker_slots(self, queue: str, slots: int, worker: str = "worker") -> None:
        """A worker comes, changes or leaves; without one only a tick changes the queue."""
        self.engine.working.renew(worker, slots, [queue])
        self.reference.register(queue, slots, worker)

    @rule(worker=st.sampled_from(WORKERS), busy=st.integers(0, 3))
    def heard_of(self, worker: str, busy: int) -> None:
        assert self.engine.membership.register("workers", worker, "id", "{}", busy=busy) is None
        self.reference.busy[worker] = busy

    @precondition(lambda self: self.tried or self.polled)
    @rule(data=st.data(), worker=st.sampled_from(WORKERS), need=st.sampled_from(NEEDS))
    def refuse(self, data: st.DataObject, worker: str, need: str) -> None:
        """A holder can't run its try, or one that lost it."""
        message = data.draw(st.sampled_from(self.polled + self.current()), label="message")
        self.refused(message, worker, need)

    def refused(self, message: Message, worker: str, need: str) -> None:
        expected = self.reference.refuse(message, worker, need)
        assert self.engine.working.refuse([self.held(message)], worker, need, "no such") == [
            expected
        ]

    @precondition(lambda self: any(self.reference.lists.values()))
    @rule(data=st.data(), lost=st.booleans())
    def deliver(self, data: st.DataObject, lost: bool) -> None:
        """A worker pops a message; if it dies at once, nobody ever claims it."""
        queue = data.draw(
            st.sampled_from([q for q, m in self.reference.lists.items() if m]), label="queue"
        )
        message = self.reference.lists[queue].pop(0)
        packed = json.loads(self.client.rpop(f"p:q:{queue}"))["headers"]
        assert celery_id(packed) == message.celery_id
        self.numbers[message.number] = packed["pydag"]["push"]
        if not lost:
            (self.polls if message.run == "*" else self.tried).append(message)

    def held(self, message: Message) -> Held:
        number = self.numbers[message.number]
        return Held(message.run, message.task, message.try_number, number)

    def claimed(self, message: Message, process: int = 1, worker: str = "worker") -> None:
        h = self.held(message)
        answer = self.engine.working.claim(
            h.run, h.task, h.try_number, h.token, worker, process=process
        )
        order = answer.order if isinstance(answer, Claim) else None
        assert order == self.reference.claim(message, process, worker)
        if isinstance(answer, Claim):
            task = self.reference.task_of(message)
            assert answer.settled == (task.settled if task.try_number > 1 else 0)

    def released(self, data: st.DataObject, message: Message, outcome: Any) -> None:
        end = self.end(data, message, outcome)
        assert self.engine.working.end(self.told(end)) == self.reference.release(*end)

    def end(self, data: st.DataObject, message: Message, outcome: Any) -> RefEnd:
        """How that try ends."""
        task = self.reference.task_of(message)
        downstream = task.downstream
        skips: tuple[str, ...] = ()
        if outcome == "success" and task.branch:
            skips = tuple(data.draw(st.sets(st.sampled_from(downstream)), label="skips"))
        run = self.reference.runs[message.run]
        expand = {}
        if outcome == "success":
            over = [t for t in downstream if run.tasks[t].expands_over == message.task]
            expand = {t: data.draw(st.integers(0, 3), label=f"children of {t}") for t in over}
        return message, outcome, skips, expand

    def told(self, end: RefEnd) -> End:
        message, told, skips, expand = end
        outcome: Any
        outcome, _, group = told.partition(" ")
        wait = Deferral(group, 5, json.dumps({"job": message.task})) if group else None
        lasted = 0.0 if message in self.handed else None
        held = self.held(message)
        return End(held, outcome, skips=skips, expand=expand, deferral=wait, lasted=lasted)

    def gone_on(
        self, data: st.DataObject, ends: list[RefEnd], taker: tuple[str, str, int]
    ) -> list[Message]:
        """A process tells how tries ended, and goes on; what it is handed."""
        again = data.draw(st.booleans(), label="the answer is lost")
        for _ in range(1 + again):
            expected, handed = self.reference.run_on(ends, taker)
            queue, worker, process = taker
            answers, found = self.engine.working.run_on(
                [self.told(end) for end in ends], queue=queue, worker=worker, process=process
            )
            assert answers == expected
            for of_it, following in zip(found, handed, strict=True):
                self.numbers[following.number] = of_it.held.token
                assert of_it.held == self.held(following)
                task = self.reference.task_of(following)
                order = "cancel" if task.state == "cancelling" else "run"
                assert (of_it.claim.order, of_it.pushes) == (order, task.pushes)
            self.tried += [message for message in handed if message not in self.tried]
            self.handed.update(handed)
        return handed

    @precondition(lambda self: self.tried)
    @rule(
        data=st.data(),
        outcomes=st.lists(OUTCOMES, min_size=1, max_size=3),
        queue=st.sampled_from(QUEUES),
        worker=st.sampled_from(WORKERS),
        process=st.sampled_from(PROCESSES),
    )
    def run_on(
        self, data: st.DataObject, outcomes: list[Any], queue: str, worker: str, process: int
    ) -> None:
        """A process releases what it holds, or once held, and goes on."""
        self.gone_on(data, self.ends(data, outcomes), (queue, worker, process))

    def ends(self, data: st.DataObject, outcomes: list[Any]) -> list[RefEnd]:
        of = st.sampled_from(self.current() + self.tried)
        return [self.end(data, data.draw(of, label="message"), how) for how in outcomes]

    @precondition(lambda self: self.tried)
    @rule(
        data=st.data(),
        outcomes=st.lists(OUTCOMES, max_size=2),
        worker=st.sampled_from(WORKERS),
        process=st.sampled_from(PROCESSES),
        keeps=st.booleans(),
    )
    def hand_in(
        self, data: st.DataObject, outcomes: list[Any], worker: str, process: int, keeps: bool
    ) -> None:
        """A process takes no more, or is gone; or it is kept by one try from all others."""
        of_hand = [m for m in self.tried if self.reference.is_in_hand(m, worker, process)]
        kept = data.draw(st.sampled_from(of_hand or self.tried), label="kept") if keeps else None
        self.handed_in(self.ends(data, outcomes), worker, process, kept)

    def handed_in(
        self, ends: list[RefEnd], worker: str, process: int, kept: Message | None = None
    ) -> None:
        expected = self.reference.hand_in(ends, worker, process, kept)
        answers = self.engine.working.hand_in(
            [self.told(end) for end in ends],
            worker,
            process=process,
            kept=self.held(kept) if kept else None,
        )
        assert answers == expected

    @precondition(lambda self: any(self.reference.lists.values()))
    @rule(data=st.data(), outcomes=st.lists(OUTCOMES, max_size=5))
    def work(self, data: st.DataObject, outcomes: list[Any]) -> None:
        """A healthy worker pops, claims and releases some tasks."""
        for outcome in outcomes:
            if not any(self.reference.lists.values()):
                return
            polls = len(self.polls)
            self.deliver(data, lost=False)
            if len(self.polls) > polls:
                self.poll(data, self.polls[-1], [outcome])
                continue
            self.claimed(self.tried[-1])
            does = data.draw(st.integers(0, 8), label="does")
            if does == 0:
                self.deferred(data, self.tried[-1])
            elif does == 1:
                worker = data.draw(st.sampled_from(WORKERS), label="worker")
                self.refused(self.tried[-1], worker, data.draw(st.sampled_from(NEEDS)))
            elif does <= 4:
                self.go_on_for_a_while(data, self.tried[-1], outcome)
            else:
                self.released(data, self.tried[-1], outcome)

    def go_on_for_a_while(self, data: st.DataObject, message: Message, outcome: Any) -> None:
        ends = [self.end(data, message, outcome)]
        for _ in range(3):
            hand = self.gone_on(data, ends, (message.queue, "worker", 1))
            begun = data.draw(st.integers(0, len(hand)), label="begun")
            how = st.sampled_from(("success", "success", *DEFERRED))
            ends = [self.end(data, handed, data.draw(how)) for handed in hand[:begun]]
            if not ends:
                break
        self.handed_in(ends, "worker", 1)

    def deferred(self, data: st.DataObject, message: Message) -> None:
        self.released(data, message, data.draw(st.sampled_from(DEFERRED), label="group"))

    def poll(self, data: st.DataObject, message: Message, outcomes: list[Any]) -> None:
        """A worker claims a poll, and reports some of what it was given."""
        queue = message.queue
        expected = self.reference.claim_polls(queue, message)
        due = self.engine.working.claim_polls(
            queue, message.task, self.numbers[message.number], "worker"
        )
        assert sorted((d.held.run, d.held.task) for d in due) == [(m.run, m.task) for m in expected]
        assert all(json.loads(d.handle) == {"job": d.held.task} for d in due)
        self.polled += expected
        told = data.draw(st.integers(0, len(expected)), label="are told at once")
        if told and outcomes:
            ends = [self.end(data, item, data.draw(OUTCOMES)) for item in expected[:told]]
            self.gone_on(data, ends, (queue, "worker", 1))
            expected = expected[told:]
        for item, outcome in zip(expected, outcomes, strict=False):
            if data.draw(st.booleans(), label="goes on"):
                self.deferred(data, item)
            elif data.draw(st.integers(0, 3), label="refuses") == 0:
                worker = data.draw(st.sampled_from(WORKERS), label="worker")
                self.refused(item, worker, f"polls:{message.task}")
            else:
                self.released(data, item, outcome)

    @precondition(lambda self: self.polls)
    @rule(data=st.data(), outcomes=st.lists(OUTCOMES, max_size=3))
    def claim_polls(self, data: st.DataObject, outcomes: list[Any]) -> None:
        self.poll(data, data.draw(st.sampled_from(self.polls), label="poll"), outcomes)

    @precondition(lambda self: self.tried or self.polled)
    @rule(data=st.data())
    def defer(self, data: st.DataObject) -> None:
        """A holder, or one that lost its lease, or a late poller gives its try back."""
        messages = self.polled or self.current()
        self.deferred(data, data.draw(st.sampled_from(messages), label="message"))

    @precondition(lambda self: self.polled)
    @rule(data=st.data(), outcome=OUTCOMES)
    def release_polled(self, data: st.DataObject, outcome: Any) -> None:
        """A poller reports in time or late."""
        self.released(data, data.draw(st.sampled_from(self.polled), label="message"), outcome)

    @precondition(lambda self: self.tried)
    @rule(data=st.data(), process=st.sampled_from(PROCESSES), worker=st.sampled_from(WORKERS))
    def claim(self, data: st.DataObject, process: int, worker: str) -> None:
        """The first claim of a message, or the same process's again, or a duplicate delivery."""
        message = data.draw(st.sampled_from(self.current() + self.tried), label="message")
        self.claimed(message, process, worker)

    def current(self) -> list[Message]:
        """Messages whose try is theirs, or would be if they claimed it now."""
        return [m for m in self.tried if self.reference.task_of(m).push == m.number] or self.tried

    @precondition(lambda self: self.tried)
    @rule(
        data=st.data(),
        late=st.booleans(),
        outcome=OUTCOMES,
    )
    def release(self, data: st.DataObject, late: bool, outcome: Any) -> None:
        """An outcome, in time or late, of a holder or of one that lost its lease."""
        messages = self.tried if late else self.current()
        self.released(data, data.draw(st.sampled_from(messages), label="message"), outcome)

    @precondition(lambda self: self.tried)
    @rule(data=st.data(), overdue=st.booleans(), looked_ago=st.sampled_from([None, 0, 3_000]))
    def renew(self, data: st.DataObject, overdue: bool, looked_ago: int | None) -> None:
        """Of all that a worker holds, or of some of that, or of what it does not hold any more."""
        worker = data.draw(st.sampled_from(WORKERS), label="worker")
        some = st.lists(st.sampled_from(self.current() + self.tried), max_size=3)
        messages = data.draw(some, label="messages")
        late = None
        if overdue and messages and self.is_running(messages[0]):
            late = messages[0]
            self.edit_record(late.run, late.task, began="1")
        processes = data.draw(st.sets(st.sampled_from(PROCESSES)), label="processes")
        expected = self.reference.renew(
            worker, messages, overdue=late, looked_ago=looked_ago, processes=processes
        )
        answers = self.engine.working.renew(
            worker,
            0,
            [],
            [self.held(message) for message in messages],
            looked_ago=None if looked_ago is None else looked_ago / 1000,
            processes=sorted(processes),
        )
        assert answers == expected

    def is_running(self, message: Message) -> bool:
        running = self.reference.task_of(message).state == "running"
        return running and self.reference.holder(message) == "yours"
