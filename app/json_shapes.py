"""Types shared by the JSON of several modules: names, tags, base models, problems."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints


def _printable(text: str) -> str:
    if re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text):
        raise ValueError("must not contain control characters")
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
    """Base of request bodies: unknown keys are errors, and values are not converted."""

    model_config = ConfigDict(extra="forbid", strict=True)


class ResponseModel(BaseModel):
    """Base of responses that are read from attributes."""

    model_config = ConfigDict(from_attributes=True)


class ProblemResponse(BaseModel):
    """An error (RFC 9457). `errors` has one entry per invalid field; `field` is the first."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    field: str | None = None
    errors: list[dict[str, str]] = []


PROBLEM = {"model": ProblemResponse, "content": {"application/problem+json": {}}}
