"""JSON of a model's architecture."""

from __future__ import annotations

from pydantic import BaseModel, Field

from app.json_shapes import ResponseModel


class LayerResponse(ResponseModel):
    name: str
    kind: str
    inputs: list[str] = Field(description="Names of its input layers")
    block: str = Field(description="The part of the model that it belongs to")
    shape: list[int] = Field(description="Shape of its output for one image: height, width, channels; or features")
    parameters: int
    trainable: int
    frozen: int = Field(description="Parameters that are not trained: running statistics, whitening filters")
    flops: int = Field(description="Forward pass, per image, 2 per multiply-add; element-wise operations excluded")
    training_flops: int = Field(description="Forward and backward pass, per image")


class ArchitectureTotals(ResponseModel):
    parameters: int
    trainable: int
    frozen: int
    flops: int
    training_flops: int


class ArchitectureResponse(BaseModel):
    layers: list[LayerResponse]
    totals: ArchitectureTotals
