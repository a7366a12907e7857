"""What functions (FUNCTION LOAD, FCALL) do differently from scripts (EVAL)."""

from __future__ import annotations

from collections.abc import Iterator

import fakeredis
import pytest
import redis

from tests.support.redis_server import RedisServer

LIBRARY = """#!lua name={name}
local calls = 0
local frozen = 'set at load'
local function write(keys, arguments)
  calls = calls + 1
  redis.call('LPOP', 'list')
  redis.call('SET', 'key', arguments[1])
  return {{ calls, frozen }}
end
redis.register_function{{ function_name = '{name}', callback = write{flags} }}
"""


@pytest.fixture
def client(each_server: RedisServer) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(each_server.url, decode_responses=True) as client:
        client.flushall()
        client.function_flush()
        yield client


def load(client: redis.Redis, name: str = "mine", flags: str = "") -> None:
    listed = f", flags = {{ {flags} }}" if flags else ""
    client.function_load(LIBRARY.format(name=name, flags=listed), replace=True)


def test_a_library_s_locals_are_set_up_once_and_kept_between_calls(client):
    """So whatever belongs to one call must be set anew at its beginning."""
    load(client)
    assert client.fcall("mine", 0, "x") == [1, "set at load"]
    assert client.fcall("mine", 0, "x") == [2, "set at load"]


def test_loading_again_starts_the_locals_anew(client):
    load(client)
    client.fcall("mine", 0, "x")
    load(client)
    assert client.fcall("mine", 0, "x")[0] == 1


def test_functions_survive_flushall_and_a_restart(each_server, client):
    load(client)
    client.flushall()
    assert client.fcall("mine", 0, "x")
    each_server.restart()
    assert client.fcall("mine", 0, "x")
    each_server.kill()
    each_server.start()
    assert client.fcall("mine", 0, "x")


def test_two_libraries_must_not_define_one_function_but_live_side_by_side(client):
    load(client, "one")
    load(client, "two")
    assert client.fcall("one", 0, "x") == client.fcall("two", 0, "x")


def test_a_missing_function_says_so(client):
    with pytest.raises(redis.ResponseError, match="Function not found"):
        client.fcall("mine", 0)


def test_on_a_full_server_a_function_is_refused_even_if_it_frees_first(client):
    """Unlike a script of EVAL, whose first write decides."""
    load(client)
    client.rpush("list", *range(10))
    client.config_set("maxmemory", 1)
    try:
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            client.fcall("mine", 0, "x")
        assert client.llen("list") == 10
    finally:
        client.config_set("maxmemory", 0)


def test_on_a_full_server_a_function_that_allows_it_may_write(client):
    load(client, flags="'allow-oom'")
    client.rpush("list", *range(10))
    client.config_set("maxmemory", 1)
    try:
        assert client.fcall("mine", 0, "x")[0] == 1
        assert client.llen("list") == 9
    finally:
        client.config_set("maxmemory", 0)


def test_what_a_function_wrote_before_an_error_stays(client):
    load(client)
    client.rpush("list", "one")
    with pytest.raises(redis.ResponseError):
        client.fcall("mine", 0)  # SET without a value
    assert client.exists("list") == 0


def test_time_of_a_function_is_read_per_call(client):
    client.function_load(
        "#!lua name=time\nredis.register_function('time', function()"
        " local t = redis.call('TIME') return t[1] .. t[2] end)"
    )
    assert client.fcall("time", 0) != client.fcall("time", 0)


def test_fakeredis_has_functions_too():
    with fakeredis.FakeRedis(decode_responses=True) as fake:
        load(fake)
        assert fake.fcall("mine", 0, "x") == [1, "set at load"]
        assert fake.fcall("mine", 0, "x") == [2, "set at load"]
