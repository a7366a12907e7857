"""Templates are parsed here, by `expressions`, which is imported when the first one comes.

Jinja2 takes long to import, and most DAGs and most tasks have no template.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pydag_dist.dag.templates.texts import Place, templates

if TYPE_CHECKING:
    from pydag_dist.dag.templates.expressions import Template


def parsed(text: str) -> Template:
    """The template; raises `BadTemplate`, a ValueError that says what is wrong with it."""
    from pydag_dist.dag.templates import expressions  # noqa: PLC0415  see above

    return expressions.parse(text)


def parsed_all(params: Any) -> list[Template]:
    """All templates in params; raises `BadTemplate` for the first that is wrong."""
    return [parsed(text) for _, text in templates(params)]


def list_place(over: str) -> Place:
    """The place that ``tasks.LIST.result.files``, or ``params.LIST``, names.

    Raises `BadTemplate` for anything else.
    """
    from pydag_dist.dag.templates import expressions  # noqa: PLC0415  see above

    return expressions.list_place(over)


def tokens(text: str) -> Iterator[tuple[int, str, str]]:
    """The tokens of a template: where each begins, its kind and its text."""
    from pydag_dist.dag.templates import expressions  # noqa: PLC0415  see above

    return expressions.tokens(text)
