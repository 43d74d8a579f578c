"""A learning-rate schedule that looks up each step's rate in a table, inside the compiled step."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray


@keras.saving.register_keras_serializable("pitwall")
class RateTable(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """float32 rates, one per step of the whole run; later steps use the last rate."""

    def __init__(self, rates: NDArray[np.float32]) -> None:
        super().__init__()
        self.rates = np.asarray(rates, np.float32)
        self._table = keras.ops.convert_to_tensor(self.rates)

    def __call__(self, step: Any) -> Any:
        last = len(self.rates) - 1
        return keras.ops.take(self._table, keras.ops.minimum(keras.ops.cast(step, "int32"), last))

    def get_config(self) -> dict[str, Any]:
        return {"rates": self.rates.tolist()}
