"""Follows an Airflow file's statements, and gathers the DAGs and tasks that they make."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any, Final

from pydag_dist.dag.airflow.calls import Calls
from pydag_dist.dag.airflow.things import AirflowDag, Function, Group, Named, Task, Unknown

_KINDS: Final = {"task": "", "dag": "dag", "task_group": "group"}
_BRANCHES: Final = {"branch": "branch", "short_circuit": "short_circuit", "python": ""}


class Program(Calls):
    """One file; after `follow` it has all DAGs, and notes of what was not understood."""

    def follow(self, statements: Sequence[ast.stmt]) -> Any:
        """Follow statements in order; the value of a `return`."""
        for statement in statements:
            self.spend()
            follow = getattr(self, f"_on_{type(statement).__name__.lower()}", None)
            if follow is None:
                continue
            try:
                found = follow(statement)
            except (TypeError, ValueError, LookupError, AttributeError):
                self.note(statement, "is not understood: what it makes is missing")
                continue
            if isinstance(statement, ast.Return):
                return found
        return None

    def _on_import(self, node: ast.Import) -> None:
        for each in node.names:
            name = each.name if each.asname else each.name.partition(".")[0]
            self.names[each.asname or name] = Named(name)

    def _on_importfrom(self, node: ast.ImportFrom) -> None:
        for each in node.names:
            self.names[each.asname or each.name] = Named(f"{node.module or ''}.{each.name}")

    def _on_assign(self, node: ast.Assign) -> None:
        value = self.value(node.value)
        for target in node.targets:
            if isinstance(target, ast.Attribute):
                owner = self.value(target.value)
                if isinstance(owner, Task):
                    owner.arguments[target.attr] = value
            else:
                self.bind(target, value)

    def _on_annassign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.bind(node.target, self.value(node.value))

    def _on_augassign(self, node: ast.AugAssign) -> None:
        sum_of = ast.BinOp(node.target, node.op, node.value, lineno=node.lineno)
        self.bind(node.target, self.value(sum_of))

    def _on_expr(self, node: ast.Expr) -> None:
        self.value(node.value)

    def _on_return(self, node: ast.Return) -> Any:
        return self.value(node.value) if node.value else None

    def _on_with(self, node: ast.With) -> Any:
        dags, groups = len(self.inside), len(self.groups)
        for item in node.items:
            thing = self.value(item.context_expr)
            if isinstance(thing, AirflowDag):
                self.inside.append(thing)
            elif isinstance(thing, Group):
                self.groups.append(thing)
            else:
                self.note(node, "with something else than a DAG or a TaskGroup: its block is read")
            if item.optional_vars is not None:
                self.bind(item.optional_vars, thing)
        found = self.follow(node.body)
        del self.inside[dags:], self.groups[groups:]
        return found

    def _on_try(self, node: ast.Try) -> Any:
        return self.follow([*node.body, *node.orelse, *node.finalbody])

    def _on_if(self, node: ast.If) -> Any:
        if "__name__" in ast.dump(node.test):
            return None
        test = self.value(node.test)
        if isinstance(test, Unknown | Named):
            self.note(node, "whether this holds is known only when the file runs: taken as true")
            test = True
        return self.follow(node.body if test else node.orelse)

    def _on_for(self, node: ast.For) -> None:
        try:
            items = self.items(node.iter)
        except ValueError:
            self.note(node, "what this loop goes over is known only when the file runs: left out")
            return
        for item in items:
            self.bind(node.target, item)
            self.follow(node.body)

    def _on_while(self, node: ast.While) -> None:
        self.note(node, "a while loop: left out")

    def _on_functiondef(self, node: ast.FunctionDef) -> None:
        kind: str = ""
        options: tuple[tuple[str, Any], ...] = ()
        for decorator in node.decorator_list:
            of = decorator.func if isinstance(decorator, ast.Call) else decorator
            name = self._decorator(of)
            if name is None:
                continue
            kind = name
            if isinstance(decorator, ast.Call):
                options = tuple(self.keywords(decorator).items())
                if kind == "dag" and decorator.args:
                    options += (("dag_id", self.value(decorator.args[0])),)
        self.names[node.name] = Function(self.module, node.name, kind, options, node)

    _on_asyncfunctiondef = _on_functiondef

    def _decorator(self, node: ast.AST) -> str | None:
        thing = self.value(node)
        if not isinstance(thing, Named) or not thing.name.startswith("airflow"):
            return None
        first, _, last = thing.name.rpartition(".")
        if last in _KINDS:
            return _KINDS[last] or "task"
        if first.endswith("task"):
            return _BRANCHES.get(last, f"task.{last}") or "task"
        return None
