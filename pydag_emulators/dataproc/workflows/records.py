"""Workflow templates and workflows in the service's database."""

from __future__ import annotations

from dataclasses import dataclass

from google.cloud.dataproc_v1 import WorkflowMetadata, WorkflowTemplate

from pydag_emulators.dataproc.store import Scope, Store

_COLUMNS = "operation, template, body, error, cancelled"


@dataclass
class Workflow:
    """An instance of a template. Whoever asks for its end sets `cancelled` in the database."""

    operation: str
    template: WorkflowTemplate  # its parameters filled in
    metadata: WorkflowMetadata
    error: str = ""  # why it failed
    cancelled: bool = False

    @property
    def scope(self) -> Scope:
        """Where it runs."""
        _, project, _, region, *_ = self.operation.split("/")
        return Scope(project, region)

    @property
    def uuid(self) -> str:
        """The last part of its operation's name."""
        return self.operation.rpartition("/")[2]

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return bool(self.metadata.state == WorkflowMetadata.State.DONE)


class Records:
    """Every method is one statement, as those of `Store`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def template(self, scope: Scope, template_id: str) -> WorkflowTemplate | None:
        """The template of that id, if there is one."""
        row = self._store.one(
            "SELECT body FROM templates WHERE project = ? AND region = ? AND id = ?",
            *scope,
            template_id,
        )
        return WorkflowTemplate.deserialize(row[0]) if row else None

    def templates(self, scope: Scope) -> list[WorkflowTemplate]:
        """All of a scope, by id."""
        rows = self._store.all(
            "SELECT body FROM templates WHERE project = ? AND region = ? ORDER BY id", *scope
        )
        return [WorkflowTemplate.deserialize(body) for (body,) in rows]

    def put_template(self, scope: Scope, template: WorkflowTemplate) -> None:
        """Add or replace a template."""
        body = WorkflowTemplate.serialize(template)
        self._store.run(
            "INSERT OR REPLACE INTO templates VALUES (?, ?, ?, ?)", *scope, template.id, body
        )

    def drop_template(self, scope: Scope, template_id: str) -> None:
        """Forget a template; its workflows go on."""
        self._store.run(
            "DELETE FROM templates WHERE project = ? AND region = ? AND id = ?",
            *scope,
            template_id,
        )

    def workflow(self, operation: str) -> Workflow | None:
        """The workflow of an operation, if there is one."""
        row = self._store.one(f"SELECT {_COLUMNS} FROM workflows WHERE operation = ?", operation)  # noqa: S608
        return _workflow(row) if row else None

    def of_request(self, scope: Scope, request_id: str) -> Workflow | None:
        """The newest workflow that a request of this id made; None for an empty id."""
        row = self._store.one(
            f"SELECT {_COLUMNS} FROM workflows WHERE request = ? AND request != '' "  # noqa: S608
            "AND operation LIKE ? ORDER BY sequence DESC",
            request_id,
            f"{scope}/%",
        )
        return _workflow(row) if row else None

    def active(self) -> list[Workflow]:
        """Those that have not ended, in the order in which they were made."""
        rows = self._store.all(
            f"SELECT {_COLUMNS} FROM workflows WHERE active = 1 ORDER BY sequence"  # noqa: S608
        )
        return [_workflow(row) for row in rows]

    def add(self, workflow: Workflow, request_id: str) -> None:
        """A new workflow."""
        self._store.run(
            "INSERT INTO workflows (operation, request, template, body, error, cancelled, active) "
            "VALUES (?, ?, ?, ?, '', 0, 1)",
            workflow.operation,
            request_id,
            WorkflowTemplate.serialize(workflow.template),
            WorkflowMetadata.serialize(workflow.metadata),
        )

    def update(self, workflow: Workflow) -> None:
        """Note how far a workflow has come."""
        self._store.run(
            "UPDATE workflows SET body = ?, error = ?, active = ? WHERE operation = ?",
            WorkflowMetadata.serialize(workflow.metadata),
            workflow.error,
            int(not workflow.is_over),
            workflow.operation,
        )

    def cancel(self, operation: str) -> None:
        """Note that its end was asked for."""
        self._store.run("UPDATE workflows SET cancelled = 1 WHERE operation = ?", operation)


def _workflow(row: tuple[str, bytes, bytes, str, int]) -> Workflow:
    operation, template, body, error, cancelled = row
    return Workflow(
        operation,
        WorkflowTemplate.deserialize(template),
        WorkflowMetadata.deserialize(body),
        error,
        bool(cancelled),
    )
