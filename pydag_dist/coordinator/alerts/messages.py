"""What webhooks are told of a run, in each of their formats."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate
from typing import Any, Final

from pydag_dist.engine.protocol import Notice
from pydag_dist.engine.snapshot import RunSnapshot
from pydag_dist.receivers import Format
from pydag_dist.visible import one_line
from pydag_dist.why.failure import failure_of

FAILED_SHOWN: Final = 20  # failed tasks in a message
ERROR_SHOWN: Final = 1_000  # characters of each one's error

# No folded subjects, and no bytes that an old server may not take.
_POLICY: Final = SMTP.clone(max_line_length=998, cte_type="7bit")
_CHAT_FAILED: Final = 5  # of these in a chat
_CHAT_ERROR: Final = 200  # characters of each one's error there


def message_of(run: RunSnapshot, what: Notice) -> dict[str, Any]:
    """What a webhook is told of a run, as JSON."""
    message: dict[str, Any] = {
        "event": what,
        "run_id": run.run_id,
        "dag_id": run.dag_id,
        "state": run.state,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
    }
    if what == "late":
        message["expected_at"] = run.expected_at
    if what == "ended" and run.state != "success":
        failed = [
            {
                "task_id": task_id,
                "try_number": task.try_number,
                "error": why and why[:ERROR_SHOWN],
            }
            for task_id, task in run.tasks.items()
            if task.state == "failed"
            for why in (failure_of(run, task_id),)
        ]
        message |= {
            "error": run.error,
            "failed": len(failed),
            "failed_tasks": failed[:FAILED_SHOWN],
        }
    return message


def written(
    message: Mapping[str, Any], form: Format, page: str, sender: str, to: Sequence[str]
) -> bytes:
    """The message as a receiver of that format takes it.

    `page` is the address of the run's page, "" if it is not known; an e-mail is of `sender` `to`
    those addresses.
    """
    if form == "json":
        return json.dumps(message).encode()
    title, lines = _title(message), _lines(message)
    if form == "email":
        return _mail(message, title, [*lines, *([page] if page else [])], sender, to)
    mark = _for_slack if form == "slack" else _for_google
    run = mark(lines[0])
    text = [
        f"*{mark(title)}*",
        f"<{page}|{run}>" if page else run,
        *map(mark, lines[1:]),
    ]
    return json.dumps({"text": "\n".join(text)}).encode()


def _title(message: Mapping[str, Any]) -> str:
    dag, state = message["dag_id"], message["state"]
    if message["event"] == "late":
        now = f"it is {state}" if message["ended_at"] is None else f"it has ended as {state}"
        return f"{dag} is late: its end was expected at {_time(message['expected_at'])}, {now}"
    said = {"success": "succeeded", "failed": "failed", "cancelled": "was cancelled"}
    return f"{dag} {said.get(state, state)}"


def _lines(message: Mapping[str, Any]) -> list[str]:
    lines = [f"run {message['run_id']}"]
    if message["started_at"] is not None:
        lines.append(f"started {_time(message['started_at'])}")
    if message["ended_at"] is not None:
        lines.append(f"ended {_time(message['ended_at'])}")
    if message.get("error"):
        lines.append(f"error: {_short(message['error'])}")
    failed = message.get("failed_tasks", [])
    lines += [
        f"• {task['task_id']}, try {task['try_number']}: {_short(task['error'])}"
        for task in failed[:_CHAT_FAILED]
    ]
    if (more := message.get("failed", 0) - len(failed[:_CHAT_FAILED])) > 0:
        lines.append(f"• {more} more have failed")
    return lines


def _mail(
    message: Mapping[str, Any], title: str, lines: Sequence[str], sender: str, to: Sequence[str]
) -> bytes:
    mail = EmailMessage(policy=_POLICY)
    mail["From"], mail["To"], mail["Subject"] = sender, ", ".join(to), title
    mail["Date"] = formatdate()
    # The same mail, sent again, is known by its id.
    about = [message[name] for name in ("run_id", "event", "ended_at")]
    number = hashlib.sha256(repr(about).encode()).hexdigest()[:32]
    mail["Message-ID"] = f"<{number}@{sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"  # so that no answering machine answers
    mail.set_content("\n".join([title, "", *lines, ""]))
    return mail.as_bytes()


def _short(error: str | None) -> str:
    first = one_line((error or "no error was told").strip().partition("\n")[0])
    return first if len(first) <= _CHAT_ERROR else f"{first[: _CHAT_ERROR - 1]}…"


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _for_slack(text: str) -> str:
    """https://docs.slack.dev/messaging/formatting-message-text#escaping."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _for_google(text: str) -> str:
    """Google Chat has no escape: a "<" that begins no link and mentions nobody."""
    return text.replace("<", "<\N{ZERO WIDTH SPACE}")
