"""Checks names, labels and sizes by Google's rules, so that we refuse what Google refuses."""

from __future__ import annotations

import re
from collections.abc import Mapping

from google.cloud.dataproc_v1 import ClusterConfig, LifecycleConfig

from pydag_emulators.dataproc.calls.refused import invalid, unimplemented

# From the field descriptions of google.cloud.dataproc.v1: clusters, jobs and batches.proto.
CLUSTER_NAME = re.compile(r"[a-z]([a-z0-9-]{0,50}[a-z0-9])?")
JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{0,40}")
BATCH_ID = re.compile(r"[a-z0-9-]{4,63}")
LABEL_KEY = re.compile(r"[^\W\d_A-Z][\w-]{0,62}")
LABEL_VALUE = re.compile(r"[\w-]{0,63}")
MOST_LABELS = 32
MASTERS, LEAST_WORKERS = (1, 3), 2
ZERO_WORKERS = "dataproc:dataproc.allow.zero.workers"
IDLE_LEAST, AUTO_LEAST, IDLE_MOST = 300, 600, 14 * 24 * 3600  # seconds


def check_cluster_name(name: str) -> None:
    """Refuse a name that Google would refuse."""
    if not CLUSTER_NAME.fullmatch(name):
        raise invalid(
            f"Invalid cluster name {name!r}: it must begin with a lower-case letter, followed by "
            "up to 51 lower-case letters, digits and hyphens, and cannot end with a hyphen"
        )


def check_job_id(job_id: str) -> None:
    """Refuse an id that Google would refuse."""
    if not JOB_ID.fullmatch(job_id):
        raise invalid(f"Invalid job id {job_id!r}: up to 100 letters, digits, _ and -")


def check_batch_id(batch_id: str) -> None:
    """Refuse an id that Google would refuse."""
    if not BATCH_ID.fullmatch(batch_id):
        raise invalid(f"Invalid batch id {batch_id!r}: 4 to 63 lower-case letters, digits and -")


def check_request_id(request_id: str) -> None:
    """Refuse an id that Google would refuse; none at all is fine."""
    if not REQUEST_ID.fullmatch(request_id):
        raise invalid(f"Invalid request_id {request_id!r}: up to 40 letters, digits, _ and -")


def check_lifecycle(lifecycle: LifecycleConfig) -> None:
    """Refuse what Google would refuse, and what this service can't do."""
    for name in ("idle_stop_ttl", "auto_stop_time", "auto_stop_ttl"):
        if name in lifecycle:
            raise unimplemented(f"A cluster with {name}")
    if "idle_delete_ttl" in lifecycle:
        seconds = lifecycle.idle_delete_ttl.total_seconds()
        if not IDLE_LEAST <= seconds <= IDLE_MOST:
            raise invalid(f"Invalid idle_delete_ttl of {seconds:g} s: 5 minutes to 14 days")
    if "auto_delete_ttl" in lifecycle:
        seconds = lifecycle.auto_delete_ttl.total_seconds()
        if not AUTO_LEAST <= seconds <= IDLE_MOST:
            raise invalid(f"Invalid auto_delete_ttl of {seconds:g} s: 10 minutes to 14 days")


def check_machines(config: ClusterConfig, region: str) -> None:
    """Refuse a zone and numbers of machines that Google would refuse; fill in the usual numbers."""
    zone = config.gce_cluster_config.zone_uri.rpartition("/")[2]
    if zone and not zone.startswith(f"{region}-"):
        raise invalid(f"Zone {zone} is not in region {region}")
    masters, workers = config.master_config, config.worker_config
    if masters.num_instances not in (0, *MASTERS):
        raise invalid(f"Invalid number of masters {masters.num_instances}: a cluster has 1 or 3")
    check_workers(workers.num_instances)
    masters.num_instances = masters.num_instances or MASTERS[0]
    if config.software_config.properties.get(ZERO_WORKERS) != "true":
        workers.num_instances = workers.num_instances or LEAST_WORKERS


def check_workers(number: int) -> None:
    """Refuse a number of primary workers that Google would refuse; 0 is none, or the usual one."""
    if number and number < LEAST_WORKERS:
        raise invalid(f"Invalid number of workers {number}: none, or at least {LEAST_WORKERS}")


def check_labels(labels: Mapping[str, str]) -> None:
    """Refuse labels that Google would refuse."""
    if len(labels) > MOST_LABELS:
        raise invalid(f"Too many labels: {len(labels)}; a resource has at most {MOST_LABELS}")
    for key, value in labels.items():
        if not LABEL_KEY.fullmatch(key) or key != key.lower():
            raise invalid(
                f"Invalid label key {key!r}: it must begin with a lower-case letter, followed by "
                "up to 62 lower-case letters, digits, _ and -"
            )
        if not LABEL_VALUE.fullmatch(value) or value != value.lower():
            raise invalid(
                f"Invalid value {value!r} of label {key}: up to 63 lower-case letters, digits, _ "
                "and -"
            )
