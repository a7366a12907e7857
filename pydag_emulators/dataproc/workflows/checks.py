"""Checks a workflow template by Google's rules, so that we refuse what Google refuses."""

from __future__ import annotations

import re

from google.cloud.dataproc_v1 import Job, OrderedJob, WorkflowTemplate

from pydag_emulators.dataproc.calls.checks import check_labels, check_lifecycle
from pydag_emulators.dataproc.calls.kinds import check_job
from pydag_emulators.dataproc.calls.refused import invalid, unimplemented
from pydag_emulators.dataproc.workflows.parameters import check_parameters

# From the field descriptions of google.cloud.dataproc.v1: workflow_templates.proto.
TEMPLATE_ID = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_-]{1,48}[A-Za-z0-9])")
STEP_ID = TEMPLATE_ID
CLUSTER_PREFIX = re.compile(r"[a-z][a-z0-9-]{0,33}[a-z0-9]")
LEAST, MOST = 600, 24 * 3600  # seconds of a dag_timeout


def check_template(template: WorkflowTemplate) -> None:
    """Refuse a template that Google would refuse, or that can't be carried out."""
    if not TEMPLATE_ID.fullmatch(template.id):
        raise invalid(f"Invalid template id {template.id!r}: 3 to 50 letters, digits, _ and -")
    check_labels(template.labels)
    _check_placement(template)
    if "dag_timeout" in template and not LEAST <= template.dag_timeout.total_seconds() <= MOST:
        raise invalid("Invalid dag_timeout: 10 minutes to 24 hours")
    if template.encryption_config.kms_key:
        raise unimplemented("A workflow template with encryption_config")
    _check_jobs(template)
    check_parameters(template)


def job_of(step: OrderedJob) -> Job:
    """What a step runs, as a job without a place."""
    kind = OrderedJob.pb(step).WhichOneof("job_type")
    work = {kind: getattr(step, kind)} if kind else {}
    return Job(**work, labels=dict(step.labels), scheduling=step.scheduling)


def _check_placement(template: WorkflowTemplate) -> None:
    placement = template.placement
    if "managed_cluster" in placement:
        name = placement.managed_cluster.cluster_name
        if not CLUSTER_PREFIX.fullmatch(name):
            raise invalid(f"Invalid managed cluster name {name!r}: 2 to 35 of a-z 0-9 -")
        check_labels(placement.managed_cluster.labels)
        check_lifecycle(placement.managed_cluster.config.lifecycle_config)
    elif not placement.cluster_selector.cluster_labels:
        raise invalid(
            "WorkflowTemplate.placement is required: a managed_cluster, or the "
            "cluster_labels of a cluster_selector"
        )


def _check_jobs(template: WorkflowTemplate) -> None:
    known: dict[str, OrderedJob] = {}
    for step in template.jobs:
        if not STEP_ID.fullmatch(step.step_id):
            raise invalid(f"Invalid step_id {step.step_id!r}: 3 to 50 letters, digits, _ and -")
        if step.step_id in known:
            raise invalid(f"Two jobs have the step_id {step.step_id}")
        known[step.step_id] = step
        check_labels(step.labels)
        check_job(job_of(step))
    if not known:
        raise invalid("WorkflowTemplate.jobs is required")
    left = set(known)
    while left:
        for step_id in left:
            if unknown := set(known[step_id].prerequisite_step_ids) - set(known):
                raise invalid(f"{step_id}: there is no step {', '.join(sorted(unknown))}")
        ready = {one for one in left if not left & set(known[one].prerequisite_step_ids)}
        if not ready:
            raise invalid(f"The steps {', '.join(sorted(left))} wait for each other")
        left -= ready
