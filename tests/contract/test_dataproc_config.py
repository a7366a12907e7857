"""Whether what is known of Dataproc's configurations is what its client library knows."""

from __future__ import annotations

import json

import proto
import pytest
from google.cloud import dataproc_v1
from google.cloud.dataproc_v1 import ClusterConfig

from pydag_dist.dag.params import dataproc
from pydag_dist.dag.params.dataproc_config import check
from tests.support.dataproc_fields import FILE, fields


def test_the_fields_are_those_of_the_library():
    assert json.loads(FILE.read_text()) == fields(), "run python -m tests.support.dataproc_fields"


@pytest.mark.parametrize(
    "config",
    [
        {"gce_cluster_config": {"private_ipv6_google_access": "NOPE"}},
        {"worker_config": {"num_instances": "2"}},
        {"worker_config": {"preemptibility": "Spot"}},
        {"sofware_config": {}},
        {"software_config": {"properties": {"a": 1}}},
        {"software_config": {"optional_components": ["JUPYTR"]}},
        {"initialization_actions": {"executable_file": "gs://b/x.sh"}},
        {"encryption_config": "none"},
    ],
)
def test_what_the_library_refuses_is_refused_without_it(config):
    with pytest.raises((KeyError, TypeError, ValueError)):
        ClusterConfig(config)
    with pytest.raises(ValueError, match=next(iter(config))):
        check(config, "ClusterConfig")


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"gce_cluster_config": {"metadata": {"a": "b"}, "internal_ip_only": True}},
        {"master_config": {"num_instances": 1, "disk_config": {"boot_disk_type": "pd-ssd"}}},
        {"worker_config": {"preemptibility": "SPOT", "min_num_instances": None}},
        {"software_config": {"image_version": "2.2", "optional_components": ["JUPYTER", 5]}},
        {"lifecycle_config": {"idle_delete_ttl": {"seconds": 900}}},
        {"lifecycle_config": {"auto_delete_ttl": "900s"}},
        {"initialization_actions": [{"executable_file": "gs://b/x.sh"}]},
        {"cluster_type": "SINGLE_NODE"},
    ],
)
def test_what_the_library_takes_is_taken(config):
    ClusterConfig(config)
    assert check(config, "ClusterConfig") is config


def test_a_template_may_stand_for_any_value():
    config = {"worker_config": {"num_instances": "{{ params.workers }}"}}
    assert check(config, "ClusterConfig") is config


_UNSAID = {"logging_config", "properties", "query_list", "script_variables"}


@pytest.mark.parametrize("kind", dataproc._OF_KINDS)
def test_the_kinds_of_work_have_the_fields_of_the_library(kind):
    work = dataproc_v1.Job.meta.fields[f"{kind}_job"].message
    assert issubclass(work, proto.Message)
    ours = set(dataproc._OF_KINDS[kind]) - {"queries", "query_variables"}
    assert ours == set(work.meta.fields) - _UNSAID
    said = {"queries", "query_variables"} & set(dataproc._OF_KINDS[kind])
    theirs = {"query_list": "queries", "script_variables": "query_variables"}
    assert said == {theirs[name] for name in work.meta.fields if name in theirs}
