"""What Lua in Redis can and cannot do: the limits that the engine's scripts are written within.

Each test runs on Valkey and on Redis 7; the last class is about fakeredis.
"""

from __future__ import annotations

from collections.abc import Iterator

import fakeredis
import pytest
import redis

from tests.support.redis_server import RedisServer


@pytest.fixture
def client(each_server: RedisServer) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(each_server.url, decode_responses=True) as client:
        client.flushall()
        yield client


@pytest.fixture
def fake() -> Iterator[redis.Redis]:
    with fakeredis.FakeRedis(decode_responses=True) as client:
        yield client


RECURSE = """
local function down(n) if n == 0 then return 0 end return 1 + down(n - 1) end
return down(tonumber(ARGV[1]))
"""
UNPACK = """
local values = {}
for i = 1, tonumber(ARGV[1]) do values[i] = i end
return redis.call('RPUSH', KEYS[1], unpack(values))
"""
MOST_TRIES = 100_000
TIME_MOVES = f"""
local before, tries = redis.call('TIME'), 0
local now = before
while before[1] == now[1] and before[2] == now[2] and tries < {MOST_TRIES} do
    now = redis.call('TIME')
    tries = tries + 1
end
return tries
"""
TIME = "local t = redis.call('TIME') return {t[1], t[2]}"


def test_recursion_overflows(client):
    assert client.eval(RECURSE, 0, 1_000) == 1_000
    with pytest.raises(redis.ResponseError, match="stack overflow"):
        client.eval(RECURSE, 0, 50_000)


def test_unpack_does_1000_values_and_fails_at_8000(client):
    assert client.eval(UNPACK, 1, "list", 1_000) == 1_000
    with pytest.raises(redis.ResponseError, match="too many results to unpack"):
        client.eval(UNPACK, 1, "other", 8_000)
    assert client.exists("other") == 0


def test_time_stands_still_within_a_script_on_valkey_but_not_on_redis_7_0(each_server, client):
    """So a script reads the time once. (Redis: frozen since 7.2.)"""
    tries = client.eval(TIME_MOVES, 0)
    frozen = "valkey" in each_server.binary.name
    assert (tries == MOST_TRIES) == frozen


def test_time_moves_on_between_scripts(client):
    assert client.eval(TIME, 0) != client.eval(TIME, 0)


def test_tostring_loses_the_last_digits_of_a_time_in_microseconds(client):
    microseconds = "1795360871215283"
    number = "local n = tonumber(ARGV[1]) "
    assert client.eval(number + "return tostring(n)", 0, microseconds) == "1.7953608712153e+15"
    assert client.eval(number + "return string.format('%.0f', n)", 0, microseconds) == microseconds
    # As text from TIME, padded, nothing is lost.
    join = "local t = redis.call('TIME') return t[1] .. string.format('%06d', t[2])"
    assert len(client.eval(join, 0)) == 16


def test_a_fraction_returned_from_a_script_is_cut_off(client):
    assert client.eval("return 1.9", 0) == 1


def test_gsub_eats_percent_signs_in_the_replacement(client):
    script = "return (string.gsub('<ID>', 'ID', ARGV[1]))"
    assert client.eval(script, 0, "plain") == "<plain>"
    assert client.eval(script, 0, "50%%") == "<50%>"
    assert client.eval(script, 0, "50% off") == "<50 off>"
    with pytest.raises(redis.ResponseError, match="invalid capture index"):
        client.eval(script, 0, "%1%2")
    function = "return (string.gsub('<ID>', 'ID', function() return ARGV[1] end))"
    assert client.eval(function, 0, "50% off") == "<50% off>"


def test_cjson_is_there_and_turns_an_empty_table_into_an_object(client):
    assert client.eval("return cjson.decode(ARGV[1]).a[2]", 0, '{"a": [1, 2]}') == 2
    assert client.eval("return cjson.encode({})", 0) == "{}"
    assert client.eval("return cjson.encode(cjson.decode('[]'))", 0) == "{}"


def test_cjson_loses_digits_of_large_numbers(client):
    assert client.eval("return cjson.encode(cjson.decode(ARGV[1]))", 0, "[1795360871215283]") == (
        "[1.7953608712153e+15]"
    )


def test_cjson_null_is_not_nil(client):
    assert client.eval("return cjson.decode('[null]')[1] == nil and 1 or 0", 0) == 0
    assert client.eval("return cjson.decode('[null]')[1] == cjson.null and 1 or 0", 0) == 1


def test_what_a_script_wrote_before_an_error_stays(client):
    with pytest.raises(redis.ResponseError):
        client.eval("redis.call('SET', KEYS[1], 'half') error('stop')", 1, "key")
    assert client.get("key") == "half"


def test_what_a_multi_wrote_before_an_error_stays(client):
    with client.pipeline(transaction=True) as pipe, pytest.raises(redis.ResponseError):
        pipe.set("key", "half").lpush("key", "wrong type").execute()
    assert client.get("key") == "half"


def test_nil_ends_a_returned_table(client):
    assert client.eval("return {1, nil, 3}", 0) == [1]
    assert client.eval("return {1, redis.call('GET', 'nothing'), 3}", 0) == [1, None, 3]


def test_info_of_the_server_can_be_read_inside_a_script(client):
    run_id = client.info("server")["run_id"]
    script = "return string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')"
    assert client.eval(script, 0) == run_id


def test_a_range_by_lex_of_equal_scores_is_by_name(client):
    client.zadd("z", {"b": 0, "a": 0, "c": 0})
    assert client.zrange("z", "[a", "(c", bylex=True) == ["a", "b"]


def test_a_script_reads_and_writes_keys_that_it_was_not_given(client):
    """Not on a Redis Cluster, which the engine does not run on."""
    assert client.eval("redis.call('SET', 'made:up', 1) return redis.call('GET', 'made:up')", 0)


def test_a_script_is_not_cached_across_a_restart_of_the_server(each_server, client):
    sha = client.script_load("return 1")
    each_server.restart()
    with pytest.raises(redis.exceptions.NoScriptError):
        client.evalsha(sha, 0)
    # redis-py's registered scripts load themselves again.
    assert client.register_script("return 1")() == 1


def test_a_script_that_may_write_is_refused_when_memory_is_full_unless_it_only_frees(client):
    client.rpush("list", *range(10))
    client.config_set("maxmemory", 1)
    try:
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            client.eval("return redis.call('SET', 'key', 1)", 0)
        assert client.eval("return redis.call('LPOP', 'list')", 0) == "0"
        # After its first write a script may write whatever it wants.
        freeing_first = "redis.call('LPOP', 'list') return redis.call('SET', 'key', 1)"
        assert client.eval(freeing_first, 0)
    finally:
        client.config_set("maxmemory", 0)


class TestFakeredis:
    """What the unit tests' server lacks, so that scripts do without it, and what it has."""

    def test_time_moves_on_within_a_script(self, fake):
        assert fake.eval(TIME_MOVES, 0) < MOST_TRIES

    def test_it_has_cjson(self, fake):
        assert fake.eval("return cjson.decode(ARGV[1]).a[2]", 0, '{"a": [1, 2]}') == 2

    @pytest.mark.parametrize("library", ["cmsgpack", "struct", "bit"])
    def test_it_lacks_the_other_libraries(self, fake, library):
        assert fake.eval(f"return {library} == nil and 1 or 0", 0) == 1

    def test_it_lacks_sha1hex(self, fake):
        assert fake.eval("return redis.sha1hex == nil and 1 or 0", 0) == 1

    def test_it_lacks_info_in_scripts(self, fake):
        with pytest.raises(redis.ResponseError, match="unknown command"):
            fake.eval("return redis.call('INFO', 'server')", 0)

    def test_it_has_ranges_by_lex(self, fake):
        fake.zadd("z", {"b": 0, "a": 0, "c": 0})
        assert fake.zrange("z", "[a", "(c", bylex=True) == ["a", "b"]
        assert fake.eval("return redis.call('ZRANGE', 'z', '[a', '(c', 'BYLEX')", 0) == ["a", "b"]

    def test_what_a_script_wrote_before_an_error_stays(self, fake):
        with pytest.raises(redis.ResponseError):
            fake.eval("redis.call('SET', KEYS[1], 'half') error('stop')", 1, "key")
        assert fake.get("key") == "half"
