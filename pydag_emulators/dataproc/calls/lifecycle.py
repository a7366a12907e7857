"""A cluster's state, by what was asked for last and how long ago that was."""

from __future__ import annotations

import datetime as dt
import time

from google.cloud.dataproc_v1 import Cluster, ClusterStatus

State = ClusterStatus.State
# A cluster with this property becomes ERROR instead of RUNNING; the value is the reason.
ERROR_PROPERTY = "pydag-local:error"

_SETTLED = {
    State.CREATING: State.RUNNING,
    State.STARTING: State.RUNNING,
    State.UPDATING: State.RUNNING,
    State.STOPPING: State.STOPPED,
}


def as_of_now(cluster: Cluster, settles: float) -> Cluster | None:
    """The cluster as it is now; None if it was deleted. `settles` ends its last change."""
    if time.time() < settles:
        return cluster
    if cluster.status.state == State.DELETING:
        return None  # its record stays until the name is used again
    return settled(cluster, settles)


def settled(cluster: Cluster, at: float) -> Cluster:
    """The cluster as it is when what was asked for last has been done."""
    after: Cluster = Cluster.deserialize(Cluster.serialize(cluster))
    state = after.status.state
    if state == State.CREATING and (reason := error_of(cluster)):
        enter(after, State.ERROR, at, reason)
    elif state in _SETTLED:
        enter(after, _SETTLED[state], at)
    return after


def error_of(cluster: Cluster) -> str:
    """Why it can't be created, if its configuration says so."""
    return str(cluster.config.software_config.properties.get(ERROR_PROPERTY, ""))


def enter(cluster: Cluster, state: int, at: float, detail: str = "") -> None:
    """Give the cluster its next state, and keep the one before in its history."""
    cluster.status_history.append(cluster.status)
    cluster.status = ClusterStatus(state=state, detail=detail, state_start_time=moment(at))


def idle_limit(cluster: Cluster) -> float | None:
    """After how many seconds without a job it is deleted."""
    lifecycle = cluster.config.lifecycle_config
    if cluster.status.state != State.RUNNING or "idle_delete_ttl" not in lifecycle:
        return None
    return float(lifecycle.idle_delete_ttl.total_seconds())


def auto_delete_at(cluster: Cluster) -> float | None:
    """When it is deleted, whatever it does, in epoch seconds."""
    lifecycle = cluster.config.lifecycle_config
    if "auto_delete_time" in lifecycle:
        return float(lifecycle.auto_delete_time.timestamp())
    if "auto_delete_ttl" in lifecycle:
        first = cluster.status_history[0] if cluster.status_history else cluster.status
        begun = first.state_start_time.timestamp()
        return float(begun + lifecycle.auto_delete_ttl.total_seconds())
    return None


def moment(seconds: float) -> dt.datetime:
    """A time as messages have it."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC)
