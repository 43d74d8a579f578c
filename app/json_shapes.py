"""Shapes that several wings' JSON shares: names, tags, the base of requests and responses, problems."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints


def _printable(text: str) -> str:
    if re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text):
        raise ValueError("must not hold control characters")
    return text


def _one_line(text: str) -> str:
    if "\n" in text or "\t" in text:
        raise ValueError("must be a single line")
    return _printable(text)


Name = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200), AfterValidator(_one_line)]


Tag = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=40), AfterValidator(_one_line)]


Notes = Annotated[str, StringConstraints(max_length=20_000), AfterValidator(_printable)]


Priority = Annotated[int, Field(ge=-100, le=100)]


MAX_TAGS = 20


Tags = Annotated[list[Tag], Field(max_length=MAX_TAGS)]


class RequestModel(BaseModel):
    """Base of what clients send: unknown keys are errors, and types must fit."""

    model_config = ConfigDict(extra="forbid", strict=True)


class ResponseModel(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class ProblemResponse(BaseModel):
    """RFC 9457. `errors` names each field that is wrong; `field` is the first of them."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    field: str | None = None
    errors: list[dict[str, str]] = []


PROBLEM = {"model": ProblemResponse, "content": {"application/problem+json": {}}}
