"""Long trainings survive a kill: now and then their whole state is kept beside the results, and they go on from there.

A training that goes on computes what it would have computed, bit for bit. What is kept is tensors and plain values,
and no code is run when it is read. A training whose state cannot be told in that way begins again.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from types import FunctionType
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.jobs import Job
from benchmarks.records import digest

FOLDER, SUFFIX = "checkpoints", ".pt"
EVERY_SECONDS = 60.0
ABANDONED_SECONDS = 30 * 86400.0
PLAIN = (bool, int, float, str, type(None), Tensor)


class Untold(Exception):
    """A part of a training's state is neither tensors nor plain values."""


class Resumable(Protocol):
    """Something whose state can be told and given back."""

    def state(self) -> dict[str, Any]: ...

    def restore(self, state: Mapping[str, Any]) -> None: ...


class Checkpoint:
    """Where the state of one training is kept. `identity` is what must be the same for it to be gone on with.

    `seconds_before` is what the training had taken when it was last kept, if it goes on from there.
    """

    def __init__(self, path: Path, identity: Mapping[str, str], every_seconds: float = EVERY_SECONDS) -> None:
        self.path, self.identity, self.every_seconds = path, dict(identity), every_seconds
        self.began = self.kept = time.monotonic()
        self.seconds_before = 0.0
        self.is_telling = True

    def keep(self, training: Resumable) -> None:
        """Keep the state, if it is time to. A disk that refuses it costs no more than a later beginning."""
        if not self.is_telling or time.monotonic() - self.kept < self.every_seconds:
            return
        temporary = self.path.with_name(f".{self.path.stem}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
        try:
            state = training.state()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(temporary, "xb") as file:
                seconds = self.seconds_before + time.monotonic() - self.began
                torch.save({"identity": self.identity, "seconds": seconds, "state": state}, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self.path)
        except Untold:
            self.is_telling = False
        except (OSError, RuntimeError):  # torch says RuntimeError where the disk is full
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
        self.kept = time.monotonic()

    def load(self) -> Mapping[str, Any] | None:
        """The state that was kept last; None where there is none, or none that can be believed."""
        try:
            found = torch.load(self.path, weights_only=True, map_location="cpu")
        except FileNotFoundError:
            return None
        except Exception:  # whatever a damaged or a foreign file makes of it
            self.remove()
            return None
        if not isinstance(found, dict) or found.get("identity") != self.identity:
            return None
        self.seconds_before = float(found["seconds"])
        state: Mapping[str, Any] = found["state"]
        return state

    def remove(self) -> None:
        """The training is over."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)


def checkpoint_of(results: Path, jobs: Sequence[Job]) -> Checkpoint:
    """The checkpoint of trials that are trained together. Another version of torch or of the code begins again."""
    name = digest([job.trial.key for job in jobs])
    versions = {package: version(package) for package in ("torch", "offpiste")}
    device = str(torch.accelerator.current_accelerator()) if torch.accelerator.is_available() else "cpu"
    identity = versions | {"trials": name, "commit": jobs[0].commit, "device": device}
    return Checkpoint(results / FOLDER / f"{name}{SUFFIX}", identity)


def remove_abandoned(results: Path) -> None:
    """Remove what nobody has gone on with for a month, such as the state of a stack that was cut differently later."""
    for path in (results / FOLDER).glob("*"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
                path.unlink()


def own_state(model: nn.Module) -> list[dict[str, Any]]:
    """What the modules of a network hold beside parameters, buffers and modules, for a comparison: is it the same?"""
    known = ("_parameters", "_buffers", "_modules", "training")
    return [{name: seen(value) for name, value in vars(m).items() if name not in known} for m in model.modules()]


def seen(value: Any) -> Any:
    """A value as it can be compared later: plain ones by value, tensors by their version, containers by their items."""
    if isinstance(value, Tensor):
        return id(value), value._version
    if isinstance(value, bool | int | float | str | bytes | None):
        return value
    if type(value) in (list, tuple):
        return [seen(item) for item in value]
    if isinstance(value, dict):
        return {key: seen(item) for key, item in value.items()}
    return sorted(map(repr, value)) if isinstance(value, set) else id(value)


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
    """All parameters and buffers of a network, those that a state dict leaves out among them."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def told(thing: object) -> dict[str, Any]:
    """The attributes of an object, as tensors and plain values; what never changes is left out.

    Raises:
        Untold: naming the attribute that is neither.
    """
    return {name: plain(value, name) for name, value in vars(thing).items() if not is_constant(value)}


def is_constant(value: Any) -> bool:
    """Whether a constructor makes it again, the same."""
    if type(value) in (list, tuple) and value:
        return all(map(is_constant, value))
    parameters = getattr(type(value), "__dataclass_params__", None)
    return isinstance(value, FunctionType | type) or (parameters is not None and parameters.frozen)


def plain(value: Any, name: str) -> Any:
    """One value."""
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, nn.Module | torch.optim.Optimizer):
        return value.state_dict()
    if isinstance(value, torch.Generator):
        return value.get_state()
    if isinstance(value, np.random.Generator):
        return json.dumps(value.bit_generator.state)  # its numbers have 128 bits
    return nested(value, name)


def nested(value: Any, name: str) -> Any:
    """Plain values and tensors in containers; what is more than that has an identity, which others may hold."""
    if isinstance(value, PLAIN):
        return value
    if type(value) in (list, tuple):
        return type(value)(nested(item, name) for item in value)
    if type(value) is dict and all(isinstance(key, str | int) for key in value):
        return {key: nested(item, name) for key, item in value.items()}
    raise Untold(f"{name} holds a {type(value).__name__}")


def give_back(thing: object, state: Mapping[str, Any], device: torch.device) -> None:
    """The attributes of an object as they were told. A tensor stays the tensor that it is, as others may hold it."""
    for name, value in state.items():
        own = getattr(thing, name, None)
        if isinstance(own, nn.Module | torch.optim.Optimizer):
            own.load_state_dict(value)
        elif isinstance(own, torch.Generator):
            own.set_state(value)
        elif isinstance(own, np.random.Generator):
            own.bit_generator.state = json.loads(value)
        elif isinstance(own, Tensor) and isinstance(value, Tensor) and own.shape == value.shape:
            with torch.no_grad():
                own.copy_(value)
        else:
            setattr(thing, name, on_device(value, device))


def on_device(value: Any, device: torch.device) -> Any:
    """A plain value with its tensors on a device."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, list | tuple):
        return type(value)(on_device(item, device) for item in value)
    return {key: on_device(item, device) for key, item in value.items()} if isinstance(value, dict) else value


def global_draws() -> dict[str, Any]:
    """Where the global streams of random numbers stand: a network may draw from any of them."""
    kind, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    version, words, gauss_next = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": [kind, np.asarray(keys).tolist(), position, has_gauss, gauss],
        "python": [version, list(words), gauss_next],
    }


def set_global_draws(state: Mapping[str, Any]) -> None:
    """Go on with the global streams where they stood."""
    kind, keys, position, has_gauss, gauss = state["numpy"]
    version, words, gauss_next = state["python"]
    torch.set_rng_state(state["torch"])
    torch.cuda.set_rng_state_all(state["cuda"])
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), position, has_gauss, gauss))
    random.setstate((version, tuple(words), gauss_next))
