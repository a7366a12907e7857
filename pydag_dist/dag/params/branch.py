"""Params of ``branch``: a function to ask, or an expression and what follows from it."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from pydag_dist.dag.params.types import Params
from pydag_dist.dag.text import patterns


def _ids(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Ids = Annotated[list[str], BeforeValidator(_ids, json_schema_input_type=str | list[str])]


class Branch(Params):
    """``branch``: which of the tasks directly downstream are followed."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["callable"]}, {"required": ["when"]}]}
    )

    callable: Annotated[str, StringConstraints(pattern=patterns.CALLABLE)] | None = Field(
        None, description="module:function that returns an id, a list of ids, or true or false"
    )
    args: list[Any] = Field([])
    kwargs: dict[str, Any] = Field({})
    # An expression in a DAG file; its value when a worker reads it.
    when: Annotated[Any, WithJsonSchema({"type": "string"})] = Field(
        None, description="an expression, instead of a callable; alone: follow all, or none"
    )
    then: Ids = Field([], description="what is followed if it is true")
    else_: Ids = Field([], alias="else", description="what is followed if it is not")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        given = self.model_fields_set
        if "when" not in given:
            if "callable" not in given:
                raise ValueError('needs "callable", or "when" with "then" and "else"')
            if given & {"then", "else_"}:
                raise ValueError('"then" and "else" belong to "when", not to a callable')
        elif given & {"callable", "args", "kwargs"}:
            raise ValueError('either "callable" with "args" and "kwargs", or "when"')
        return self
