"""Which of Redis's errors pass, so that a call is repeated, and which are the call's own fault."""

from __future__ import annotations

import pytest
import redis

from pydag_dist.engine import is_transient


@pytest.mark.parametrize(
    "error",
    [
        redis.ConnectionError("Connection refused"),
        redis.TimeoutError("Timeout reading from socket"),
        redis.BusyLoadingError("Redis is loading the dataset in memory"),
        redis.ReadOnlyError("You can't write against a read only replica."),
        redis.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
        redis.exceptions.MasterDownError("Link with MASTER is down"),
        redis.ResponseError("BUSY Redis is busy running a script."),
        redis.ResponseError("MISCONF Errors writing to the AOF file: No space left on device"),
        redis.ResponseError("NOREPLICAS Not enough good replicas to write."),
        redis.ResponseError(
            "Command # 1 (INCR a) of pipeline caused error: MISCONF Errors writing"
        ),
        redis.ResponseError("UNBLOCKED force unblock from blocking operation"),
        redis.ResponseError("INPROG Failover already in progress."),
        redis.exceptions.ExecAbortError("Transaction discarded because of: READONLY You can't"),
    ],
)
def test_what_passes(error: redis.RedisError) -> None:
    assert is_transient(error)


@pytest.mark.parametrize(
    "error",
    [
        redis.AuthenticationError("invalid username-password pair"),
        redis.exceptions.NoPermissionError("this user has no permissions"),
        redis.ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"),
        redis.ResponseError("BUSYGROUP Consumer Group name already exists"),
        redis.exceptions.ExecAbortError("Transaction discarded because of previous errors."),
        redis.DataError("Invalid input of type: 'NoneType'"),
    ],
)
def test_what_stays(error: redis.RedisError) -> None:
    assert not is_transient(error)
