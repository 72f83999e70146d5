"""What this machine has to train on."""

from __future__ import annotations

import os


def visible_devices() -> list[str]:
    """The accelerators that CUDA may use, by the names that CUDA_VISIBLE_DEVICES gives them; none without CUDA.

    CUDA itself is not touched, so that processes can still be forked.
    """
    import torch

    n = torch.cuda.device_count()
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = listed.split(",") if listed is not None else [str(number) for number in range(n)]
    return names[:n]


def default_slots() -> int:
    """Trials at a time: one on every accelerator, or without one, on every core that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return len(visible_devices()) or cores
