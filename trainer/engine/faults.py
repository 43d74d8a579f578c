"""Turns a framework's error into one of trainer.failures, by its type name and message.

A pure function of two strings, so that a lost GPU can be tested without one.
"""

from __future__ import annotations

from trainer.failures import CannotTrain, DeviceLost, OutOfHostMemory, OutOfMemory, suggest_smaller

# Messages of CUDA, cuBLAS, cuDNN, XLA and TensorFlow's allocators.
OUT_OF_MEMORY_ERRORS = (
    "CUDA_ERROR_OUT_OF_MEMORY",
    "OOM when allocating",
    "Out of memory while trying to allocate",
    "Out of memory allocating",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)
HOST_ALLOCATORS = ("by allocator cpu", "device:CPU:")
# After each of these the process cannot use the GPU any more; a new process may.
DEVICE_LOST_ERRORS = (
    "CUDA_ERROR_ILLEGAL_ADDRESS",
    "CUDA_ERROR_ECC_UNCORRECTABLE",
    "CUDA_ERROR_NVLINK_UNCORRECTABLE",
    "CUDA_ERROR_HARDWARE_STACK_ERROR",
    "CUDA_ERROR_ILLEGAL_INSTRUCTION",
    "CUDA_ERROR_MISALIGNED_ADDRESS",
    "CUDA_ERROR_LAUNCH_FAILED",
    "CUDA_ERROR_LAUNCH_TIMEOUT",
    "CUDA_ERROR_CONTEXT_IS_DESTROYED",
    "CUDA_ERROR_DEINITIALIZED",
    "CUDA_ERROR_NO_DEVICE",
    "CUDA_ERROR_INVALID_DEVICE",
    "CUDA_ERROR_DEVICE_UNAVAILABLE",
    "CUDA_ERROR_SYSTEM_NOT_READY",
    "GPU is lost",
    "device lost",
    "fallen off the bus",
)


def classify_error(type_name: str, text: str, batch_size: int) -> CannotTrain | None:
    """The failure that an error with this type name and text stands for; None if it is an unknown one."""
    low = text.lower()
    if type_name == "MemoryError":
        return OutOfHostMemory("this machine has no memory left", suggest_smaller(batch_size))
    if any(words.lower() in low for words in DEVICE_LOST_ERRORS):
        reason = next(words for words in DEVICE_LOST_ERRORS if words.lower() in low)
        hint = "The run can resume from its last checkpoint. If it happens again, check the GPU and the machine's log."
        return DeviceLost(f"the device no longer responds ({reason})", hint)
    if type_name == "ResourceExhaustedError" or any(words.lower() in low for words in OUT_OF_MEMORY_ERRORS):
        if any(words.lower() in low for words in HOST_ALLOCATORS):
            return OutOfHostMemory(
                "this machine has no memory left for a batch of this size", suggest_smaller(batch_size)
            )
        return OutOfMemory("the device has no memory left for a batch of this size", suggest_smaller(batch_size))
    return None
