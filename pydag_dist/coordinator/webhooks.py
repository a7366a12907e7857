"""Webhooks: whoever a DAG names is told how its runs ended."""

from __future__ import annotations

import http.client
import json
import logging
import queue
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import redis

from pydag_dist.dag.fields import MAX_HOOKS
from pydag_dist.engine import ENDED_RUN_STATES, Engine
from pydag_dist.engine.snapshot import seconds
from pydag_dist.errors import UnknownRun

log = logging.getLogger(__name__)

TRIES: Final = 10
FIRST_DELAY: Final = 1.0  # seconds after the first try; doubled after each
TIMEOUT: Final = 10.0  # seconds in which a receiver has to answer
LEASE: Final = MAX_HOOKS * TIMEOUT + 10  # seconds after which another coordinator tells it
PARALLEL: Final = 4  # runs told at a time: a slow receiver must not hold up the others
EVERY: Final = 1.0  # seconds between two looks
UNTIL_ENDED: Final = 60.0  # seconds until a resumed run is looked at again
FAILED_SHOWN: Final = 20  # failed tasks in a message


class Webhooks:
    """Tells webhooks of ended runs, together with all other coordinators of this Redis.

    `named` are the URLs that DAGs may name. Each hook is told at least once, or given up after
    `TRIES` tries.
    """

    def __init__(self, engine: Engine, named: Mapping[str, str], stopping: threading.Event) -> None:
        self._engine = engine
        self._named = named
        self._stopping = stopping
        self._free = threading.Semaphore(PARALLEL)
        # Run -> when it ended, and the hooks that need not be told of that again.
        self._told: dict[str, tuple[str, set[str]]] = {}

    def run(self) -> None:
        """Tell hooks until stopped."""
        while not self._stopping.is_set():
            self._free.acquire()
            try:
                taken = self._engine.take_webhook(LEASE)
            except redis.RedisError as error:
                log.warning("no webhooks: %s", error)
                taken = None
            if taken:
                threading.Thread(target=self._tell, args=taken, daemon=True).start()
            else:
                self._free.release()
                self._stopping.wait(EVERY)

    def _tell(self, run_id: str, tries: int) -> None:
        try:
            self._tell_all(run_id, tries)
        except UnknownRun:
            self._engine.webhook_done(run_id)
        except redis.RedisError as error:
            log.warning("%s: its webhooks come later: %s", run_id, error)
        except Exception:
            log.exception("%s: its webhooks come later", run_id)
        finally:
            self._free.release()

    def _tell_all(self, run_id: str, tries: int) -> None:
        head = self._engine.run_head(run_id)
        if head["state"] not in ENDED_RUN_STATES:
            self._engine.webhook_later(run_id, UNTIL_ENDED)
            return
        dag = json.loads(self._engine.submitted_dag(run_id))
        hooks = dag.get("on_success" if head["state"] == "success" else "on_failure", [])
        body = json.dumps(self._message(run_id, head)).encode()
        ended_at, told = self._told.get(run_id, ("", set()))
        if ended_at != head["ended_at"]:
            told = set()
            self._told[run_id] = head["ended_at"], told
        told.update(
            hook for hook in hooks if hook not in told and self._is_told(run_id, hook, body)
        )
        missing = [_shown(hook) for hook in hooks if hook not in told]
        if missing and tries + 1 < TRIES:
            self._engine.webhook_later(run_id, FIRST_DELAY * 2**tries)
            return
        if missing:
            log.error("%s: gave up %s after %d tries", run_id, ", ".join(missing), TRIES)
        self._told.pop(run_id, None)
        # A run that was resumed and has ended again meanwhile is due again.
        if self._engine.run_head(run_id).get("ended_at") == head["ended_at"]:
            self._engine.webhook_done(run_id)

    def _message(self, run_id: str, head: Mapping[str, str]) -> dict[str, Any]:
        message: dict[str, Any] = {
            "run_id": run_id,
            "dag_id": head["dag_id"],
            "state": head["state"],
            "started_at": seconds(head.get("started_at")),
            "ended_at": seconds(head["ended_at"]),
        }
        if head["state"] != "success":
            tasks = self._engine.snapshot(run_id).tasks
            failed = [
                {"task_id": task_id, "try_number": task.try_number, "error": task.error}
                for task_id, task in tasks.items()
                if task.state == "failed"
            ]
            message |= {
                "error": head.get("error"),
                "failed": len(failed),
                "failed_tasks": failed[:FAILED_SHOWN],
            }
        return message

    def _is_told(self, run_id: str, hook: str, body: bytes) -> bool:
        """Whether the hook took the message, or never will."""
        url = hook if "://" in hook else self._named.get(hook)
        if url is None:
            log.error(
                "%s: no webhook is named %s: add it to PYDAG_WEBHOOKS of the coordinators",
                run_id,
                hook,
            )
            return True
        if reason := _post_in_time(url, body):
            log.warning("%s: webhook %s: %s", run_id, _shown(hook), reason)
            return False
        log.info("%s: told webhook %s", run_id, _shown(hook))
        return True


def _post_in_time(url: str, body: bytes) -> str | None:
    """`_post`, but neither the look-up of a name nor an answer in drips takes longer."""
    answer: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    threading.Thread(target=lambda: answer.put(_post(url, body)), daemon=True).start()
    try:
        return answer.get(timeout=TIMEOUT)
    except queue.Empty:
        return f"no answer in {TIMEOUT:g} s"


def _post(url: str, body: bytes) -> str | None:
    """Post JSON; None if it was taken, else why not. Never follows a redirect."""
    headers = {"Content-Type": "application/json", "User-Agent": "pydag_dist"}
    request = urllib.request.Request(url, body, headers, method="POST")  # noqa: S310  see _opener
    try:
        with _opener().open(request, timeout=TIMEOUT):
            return None
    except urllib.error.HTTPError as error:
        error.close()
        return f"status {error.code}"
    except urllib.error.URLError as error:
        return str(error.reason)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return type(error).__name__  # their texts may have the URL in them


def _opener() -> urllib.request.OpenerDirector:
    """Opens http and https only, through the proxy of the environment if it names one."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _shown(hook: str) -> str:
    """A hook as a log may have it: the rest of a URL is often the secret."""
    if "://" not in hook:
        return hook
    parts = urlsplit(hook)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
