"""The contract of a model class, duck-typed: a submission imports nothing of ours.

A network is an `nn.Module` with `__init__(problem, **hparams)` and `forward(x) -> (N, C)` (or `(N, L, C)` where the
problem is per position). An estimator has `fit(x, y)` and `predict(x)`; with `get_params` it is a scikit-learn
estimator and is built without the problem. Optional class attributes of both:

    takes  = ("vector", "image")                 # input kinds; what it cannot take is skipped, not failed
    recipe = {"learning_rate": 3e-3, ...}        # fields of `tasks.types.Recipe` that replace the task's own

Tasks that ask how an answer changes with size build a network with `width=` 1, 2, 4, ...: a class whose constructor
takes no `width` is skipped there.

A constructor that raises NotImplementedError says the same as `takes`, with a reason of its own.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tasks.types import Batch, Problem

INPUT_KINDS = ("vector", "signal", "image", "tokens")


class BrokenContract(Exception):
    """A model class does not keep the contract; the message says which clause, what was expected and what came."""


class NotApplicable(Exception):
    """A model class says that it cannot take this problem: the trial is `skipped` with this reason."""


@runtime_checkable
class Estimator(Protocol):
    """Anything that is fitted at once. x: (N, *S), flattened to (N, d) for scikit-learn; y: (N,) or (N, C)."""

    def fit(self, x: NDArray[Any], y: NDArray[Any]) -> Any: ...

    def predict(self, x: NDArray[Any]) -> NDArray[Any]: ...


def kind_of(model_class: type) -> Literal["network", "estimator"]:
    """Which of the two contracts a class means to keep.

    Raises:
        BrokenContract: when it is neither.
    """
    if issubclass(model_class, nn.Module):
        return "network"
    if callable(getattr(model_class, "fit", None)) and callable(getattr(model_class, "predict", None)):
        return "estimator"
    raise BrokenContract(f"{model_class.__name__} is neither an nn.Module nor a class with fit and predict")


def check_applicable(model_class: type, problem: Problem) -> None:
    """Raises NotApplicable when the class declares that it does not take this kind of input."""
    takes = getattr(model_class, "takes", INPUT_KINDS)
    if problem.input_kind not in takes:
        raise NotApplicable(f"takes {', '.join(takes)}, not {problem.input_kind}")


def check_knobs(model_class: type, knobs: Mapping[str, Any]) -> None:
    """Raises NotApplicable when the constructor takes none of the name of a knob, such as `width`."""
    known = inspect.signature(model_class).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values()):
        return
    if missing := [name for name in knobs if name not in known]:
        raise NotApplicable(f"its constructor takes no {', '.join(missing)}, which this task turns")


def build(model_class: type, problem: Problem, hparams: Mapping[str, Any], seed: int) -> Any:
    """An instance whose initialisation depends on `seed` alone.

    Raises:
        NotApplicable: when the constructor raises NotImplementedError.
        BrokenContract: when it changes torch's default dtype.
    """
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)  # a submission may draw from NumPy's global stream
    try:
        if kind_of(model_class) == "estimator" and hasattr(model_class, "get_params"):
            model = model_class(**hparams)
            if "random_state" in model.get_params():
                model.set_params(random_state=seed % 2**32)
        else:
            model = model_class(problem, **hparams)
    except NotImplementedError as error:
        raise NotApplicable(str(error) or "its constructor raises NotImplementedError") from error
    if torch.get_default_dtype() != torch.float32:
        changed = torch.get_default_dtype()
        torch.set_default_dtype(torch.float32)
        raise BrokenContract(f"the constructor changed torch's default dtype to {changed}; inputs are float32")
    if isinstance(model, nn.Module) and any(nn.parameter.is_lazy(p) for p in model.parameters()):
        with torch.no_grad():
            model(blank_inputs(problem))
    return model


def blank_inputs(problem: Problem) -> Tensor:
    """Two all-zero inputs (2, *S), which give lazy modules their shapes."""
    dtype = torch.float32 if problem.vocabulary is None else torch.int64
    return torch.zeros(2, *problem.input_shape, dtype=dtype)


def expected_shape(problem: Problem, x: Tensor) -> tuple[int, ...]:
    """The shape that a model must return for inputs x."""
    return (len(x), x.shape[1], problem.n_outputs) if problem.per_position else (len(x), problem.n_outputs)


def check_outputs(outputs: object, problem: Problem, x: Tensor) -> Tensor:
    """The outputs, if they are what the contract says.

    Raises:
        BrokenContract: with the shape or type that was expected and the one that came.
    """
    if not isinstance(outputs, Tensor):
        raise BrokenContract(f"forward returned {type(outputs).__name__}, not a tensor")
    expected = expected_shape(problem, x)
    if tuple(outputs.shape) != expected:
        raise BrokenContract(
            f"forward returned shape {tuple(outputs.shape)} for inputs {tuple(x.shape)}; expected {expected}"
        )
    if not outputs.is_floating_point():
        raise BrokenContract(f"forward returned {outputs.dtype}; expected a floating type")
    return outputs


def check_causal(model: Any, problem: Problem) -> None:
    """Outputs of a sequence problem read no later token: a next token would be read off the answer otherwise.

    Raises:
        BrokenContract: where an output changes when a later token does.
    """
    length = problem.input_shape[0]
    x = torch.arange(length).remainder(problem.vocabulary or 1).expand(2, length).clone()
    changed = x.clone()
    changed[:, length // 2 :] = (changed[:, length // 2 :] + 1) % (problem.vocabulary or 1)
    was_training = model.training
    model.eval()
    with torch.no_grad():
        first, second = (check_outputs(model(tokens), problem, tokens)[:, : length // 2] for tokens in (x, changed))
    model.train(was_training)
    if not torch.allclose(first, second, atol=1e-4, rtol=1e-3):
        raise BrokenContract(
            "its output at a position changes with a later token; sequence outputs are next tokens, and training shows "
            "them in the input. Where `problem.per_position` is true, read earlier positions alone"
        )


class FittedEstimator:
    """An estimator behind the interface of a network: tensors in, logits or values out."""

    def __init__(self, estimator: Any, problem: Problem) -> None:
        self.estimator = estimator
        self.problem = problem
        self.flat = hasattr(estimator, "get_params")

    def arrays(self, x: Tensor) -> NDArray[Any]:
        """x as the estimator wants it: (N, d) for scikit-learn, (N, *S) otherwise."""
        array: NDArray[Any] = x.cpu().numpy()
        return array.reshape(len(array), -1) if self.flat else array

    def fit(self, batch: Batch) -> None:
        """Fit on a whole training set, with its weights where there are any.

        Raises:
            NotApplicable: when the data carry weights and `fit` takes none, or where every position has an output.
        """
        if self.problem.per_position:
            raise NotApplicable("an estimator has no outputs per position")
        y = batch.y.cpu().numpy()
        y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
        if batch.weight is None:
            self.estimator.fit(self.arrays(batch.x), y)
            return
        if "sample_weight" not in inspect.signature(self.estimator.fit).parameters:
            raise NotApplicable("its fit takes no sample_weight")
        self.estimator.fit(self.arrays(batch.x), y, sample_weight=batch.weight.cpu().numpy())

    def __call__(self, x: Tensor) -> Tensor:
        """Logits or values (N, C)."""
        array = self.arrays(x)
        if self.problem.output_kind == "values":
            values = np.asarray(self.estimator.predict(array), dtype=np.float32)
            return torch.from_numpy(values.reshape(len(array), -1))
        return torch.from_numpy(self.logits(array).astype(np.float32))

    def logits(self, array: NDArray[Any]) -> NDArray[Any]:
        """(N, C) from the richest thing the estimator offers; classes it never saw get a very low logit."""
        classes = np.asarray(getattr(self.estimator, "classes_", np.arange(self.problem.n_outputs))).astype(int)
        if hasattr(self.estimator, "predict_proba"):
            seen = np.log(np.clip(self.estimator.predict_proba(array), 1e-6, None))
        elif hasattr(self.estimator, "decision_function"):
            margin = np.asarray(self.estimator.decision_function(array))
            seen = np.stack([-margin, margin], axis=1) / 2 if margin.ndim == 1 else margin
        else:
            predicted = np.asarray(self.estimator.predict(array)).astype(int)
            one_hot: NDArray[Any] = np.eye(self.problem.n_outputs)[predicted]
            return 10.0 * one_hot
        logits = np.repeat(seen.min(axis=1, keepdims=True) - 10.0, self.problem.n_outputs, axis=1)
        logits[:, classes] = seen
        return logits
