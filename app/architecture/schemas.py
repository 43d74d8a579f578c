"""JSON of a model's architecture."""

from __future__ import annotations

from pydantic import BaseModel, Field

from app.json_shapes import ResponseModel


class LayerResponse(ResponseModel):
    name: str
    kind: str
    inputs: list[str] = Field(description="Names of the layers that it takes")
    block: str = Field(description="The part of the net that it belongs to")
    shape: list[int] = Field(description="Of its output, for one picture: height, width, channels; or features")
    parameters: int
    trainable: int
    frozen: int = Field(description="Parameters that are not learned: running statistics, whitening filters")
    flops: int = Field(description="Forward, one picture, 2 per multiply-add; element-wise work is not counted")
    training_flops: int = Field(description="Forward and backward, one picture")


class ArchitectureTotals(ResponseModel):
    parameters: int
    trainable: int
    frozen: int
    flops: int
    training_flops: int


class ArchitectureResponse(BaseModel):
    layers: list[LayerResponse]
    totals: ArchitectureTotals
