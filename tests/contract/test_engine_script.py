"""How the engine's functions are called: over kept connections, whatever happens to these."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from pydag_dist.engine import Engine, Held
from pydag_dist.errors import EngineError
from tests.model.bad_arguments import Scene, written_in_spite
from tests.support.redis_server import RedisServer


@pytest.fixture
def client(each_server: RedisServer) -> Iterator[Any]:
    with redis.Redis.from_url(each_server.url, decode_responses=True) as client:
        client.flushall()
        client.function_flush()
        yield client


@pytest.fixture
def engine(client: Any) -> Engine:
    return Engine(client, "p")


def asks(engine: Engine, run: str) -> Any:
    """An answer that a submission does not get."""
    return engine.working.claim(run, "task", 1, "push", "worker", process=1)


def connections(client: Any) -> int:
    return len(client.client_list())


def test_the_library_is_loaded_when_it_is_missing_and_again_after_it_was_flushed(client, engine):
    assert engine.steering.submit("r", "{}", "dag") is True
    client.function_flush()
    assert engine.steering.submit("r", "{}", "dag") is False


def test_calls_share_one_connection(client, engine):
    asks(engine, "r")
    before = connections(client)
    for _ in range(10):
        asks(engine, "r")
    assert connections(client) == before


def test_a_call_over_a_connection_that_the_server_has_closed_is_sent_again(client, engine):
    asks(engine, "r")
    client.client_kill_filter(_type="normal", skipme=True)
    assert engine.steering.submit("r", "{}", "dag") is True


def test_an_error_of_the_engine_leaves_the_connection_usable(client, engine):
    asks(engine, "r")
    before = connections(client)
    with pytest.raises(EngineError, match="no operation"):
        engine.store.call("no such operation")
    assert engine.steering.submit("r", "{}", "dag") is True
    assert connections(client) == before


def test_an_answer_that_nobody_waited_for_answers_no_other_call(engine, monkeypatch):
    """A signal's handler may raise anywhere, also between a call and its answer."""
    engine.steering.submit("r", "{}", "dag")
    (kept,) = engine.store.script._kept
    with monkeypatch.context() as patch:
        patch.setattr(kept, "read_response", interrupt)
        with pytest.raises(KeyboardInterrupt):
            engine.steering.submit("r", "{}", "dag")
    assert asks(engine, "r2") == "unknown"


def interrupt() -> None:
    raise KeyboardInterrupt


def test_threads_get_their_own_answers(engine):
    wrong: list[Any] = []

    def work(number: int) -> None:
        for at in range(50):
            run = f"r{number}-{at}"
            answers = (
                asks(engine, run),
                engine.steering.submit(run, "{}", "dag"),
                asks(engine, "r"),
            )
            if answers != ("unknown", True, "unknown"):
                wrong.append(answers)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_forked_process_does_not_use_its_parent_s_connection(client, engine):
    asks(engine, "r")
    before = connections(client)
    engine.store.script._pid -= 1  # as if another process had made it
    asks(engine, "r")
    assert connections(client) == before + 1


@pytest.mark.slow
def test_nothing_is_written_before_the_last_check(client):
    assert written_in_spite(Scene(client)) == []


class TestOnAFullServer:
    """A server at its maxmemory."""

    @pytest.fixture(autouse=True)
    def _full(self, client: Any, engine: Engine) -> Iterator[None]:
        engine.steering.submit("r", "{}", "dag")
        client.config_set("maxmemory", 1)
        yield
        client.config_set("maxmemory", 0)

    def test_nothing_new_is_taken(self, engine):
        with pytest.raises(redis.OutOfMemoryError, match="maxmemory"):
            engine.steering.submit("new", "{}", "dag")
        with pytest.raises(redis.OutOfMemoryError):
            engine.planning.plan_begin("r")
        with pytest.raises(redis.OutOfMemoryError):
            asks(engine, "r")

    def test_what_lets_tasks_end_is_done(self, engine):
        held = Held("r", "task", 1, "push")
        assert engine.working.release(held, "success") == "unknown"
        assert engine.working.renew("worker", 2, ["python"], [held]) == ["unknown"]
        assert engine.tick() is True
