"""Hold a model class or a training algorithm to its contract, in seconds, before anything is trained.

    python -m benchmarks.check my_model.py:Net
    python -m benchmarks.check my_algorithm.py:Mine my_optimizer.py:MyOptimizer

Prints every clause for every kind of problem that the class takes. Runs the class in a process of its own, under
the same limits as a trial. Exit status: 0 every clause holds, 1 some are broken, 2 there is no such class.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from baselines import references
from baselines.references import Kind, Reference, UnusableClass
from benchmarks.check_algorithm import inspect_algorithm
from benchmarks.check_search import check_search
from benchmarks.findings import Finding, printable, say
from tasks.registry import UnknownName, nearest

if TYPE_CHECKING:
    from torch import Tensor

    from tasks.types import Problem

SECONDS = 60.0
MEMORY_GIB = 8.0
BATCH = 6
SEED = 7


def example_problems() -> dict[str, Problem]:
    """A small problem of every kind, as a class meets them in the suite."""
    from tasks.types import Problem

    return {
        "vector, values": Problem("vector", (8,), "values", 1, 100),
        "vector, classes": Problem("vector", (10,), "classes", 2, 100),
        "signal, classes": Problem("signal", (1, 40), "classes", 10, 100),
        "image, classes": Problem("image", (2, 14, 14), "classes", 2, 100),
        "image, values": Problem("image", (1, 16, 16), "values", 5, 100),
        "tokens, classes": Problem("tokens", (20,), "classes", 5, 100, vocabulary=5),
        "tokens, classes per position": Problem("tokens", (20,), "classes", 3, 100, vocabulary=4, per_position=True),
        "tokens, sequence": Problem("tokens", (20,), "sequence", 4, 100, vocabulary=4, per_position=True),
    }


def example_inputs(problem: Problem, n: int, length: int | None = None) -> Tensor:
    """Inputs (n, *S) of a problem; tokens may be of another length."""
    import torch

    generator = torch.Generator().manual_seed(SEED)
    if problem.vocabulary is None:
        return torch.randn(n, *problem.input_shape, generator=generator)
    return torch.randint(problem.vocabulary, (n, length or problem.input_shape[0]), generator=generator)


def example_targets(problem: Problem, x: Tensor) -> Tensor:
    """Targets that belong to x."""
    import torch

    generator = torch.Generator().manual_seed(SEED + 1)
    shape = (len(x), x.shape[1]) if problem.per_position else (len(x),)
    if problem.output_kind == "values":
        return torch.randn(*shape, problem.n_outputs, generator=generator)
    return torch.arange(int(torch.tensor(shape).prod())).view(shape) % problem.n_outputs


def inspect_class(model_class: type, hparams: dict[str, Any]) -> Iterator[Finding]:
    """Every clause on every example problem. Stops at the first clause without which the next make no sense."""
    from baselines import contract

    try:
        kind = contract.kind_of(model_class)
    except contract.BrokenContract as error:
        detail = f"{error}, nor a training algorithm with loss(model, batch, step), nor an optimizer"
        yield Finding("", "is a model class", "broken", detail)
        return
    yield Finding("", "is a model class", "ok", kind)
    yield from check_declarations(model_class)
    clauses = NETWORK_CLAUSES if kind == "network" else ESTIMATOR_CLAUSES
    for name, problem in example_problems().items():
        try:
            contract.check_applicable(model_class, problem)
            build = partial(contract.build, model_class, problem, hparams, SEED)
            model = build()
        except contract.NotApplicable as reason:
            yield Finding(name, "takes it", "skipped", str(reason))
            continue
        except Exception as error:  # whatever the class raises is the finding
            yield Finding(name, "can be built", "broken", say(error))
            continue
        yield Finding(name, "can be built", "ok")
        for clause, check in clauses.items():
            finding = examine(name, clause, check, model, build, problem)
            yield finding
            if finding.verdict == "broken":
                break


def examine(name: str, clause: str, check: Callable[..., str], model: Any, build: Any, problem: Problem) -> Finding:
    """The finding of one clause: a check returns a note or nothing, and raises when the clause is broken."""
    from baselines.contract import NotApplicable

    try:
        note = check(model, build, problem)
    except NotApplicable as reason:
        return Finding(name, clause, "skipped", str(reason))
    except Exception as error:
        return Finding(name, clause, "broken", say(error))
    return Finding(name, clause, "note" if note else "ok", note)


def check_declarations(model_class: type) -> Iterator[Finding]:
    """The optional class attributes."""
    from baselines.contract import INPUT_KINDS
    from tasks.types import Recipe

    takes = getattr(model_class, "takes", INPUT_KINDS)
    unknown = (
        sorted(set(takes) - set(INPUT_KINDS)) if isinstance(takes, list | tuple | set | frozenset) else [str(takes)]
    )
    detail = f"{unknown} are no input kinds; there are {', '.join(INPUT_KINDS)}" if unknown else ", ".join(takes)
    yield Finding("", "takes", "broken" if unknown else "ok", detail)
    try:
        Recipe().override(getattr(model_class, "recipe", {}))
    except (ValueError, TypeError) as error:
        yield Finding("", "recipe", "broken", str(error))
    else:
        declared = getattr(model_class, "recipe", {})
        yield Finding("", "recipe", "ok", ", ".join(f"{k} {v}" for k, v in declared.items()) or "the task's own")


def returns_outputs(model: Any, build: Any, problem: Problem) -> str:
    """Shape, type and finite values."""
    import torch

    from baselines.contract import BrokenContract, check_outputs

    x = example_inputs(problem, BATCH)
    outputs = check_outputs(model(x), problem, x)
    if not bool(torch.isfinite(outputs).all()):
        raise BrokenContract("outputs of an untrained model are not finite")
    return ""


def takes_one_example(model: Any, build: Any, problem: Problem) -> str:
    """A batch of one, in evaluation mode."""
    import torch

    from baselines.contract import check_outputs

    model.eval()
    x = example_inputs(problem, 1)
    with torch.no_grad():
        check_outputs(model(x), problem, x)
    return ""


def takes_longer_inputs(model: Any, build: Any, problem: Problem) -> str:
    """Tokens twice as long as in training."""
    import torch

    from baselines.contract import check_outputs

    if problem.vocabulary is None:
        return ""
    x = example_inputs(problem, BATCH, 2 * problem.input_shape[0])
    model.eval()
    with torch.no_grad():
        check_outputs(model(x), problem, x)
    return ""


def leaves_inputs_alone(model: Any, build: Any, problem: Problem) -> str:
    """No in-place change of x."""
    import torch

    from baselines.contract import BrokenContract

    x = example_inputs(problem, BATCH)
    before = x.clone()
    model(x)
    if not torch.equal(x, before):
        raise BrokenContract("forward changes its input in place; the next model would see other data")
    return ""


def gradients_reach_parameters(model: Any, build: Any, problem: Problem) -> str:
    """A loss has a gradient for the trainable parameters."""
    from baselines.contract import BrokenContract
    from tasks.metrics import losses

    model.train()
    model.zero_grad()
    x = example_inputs(problem, BATCH)
    losses(model(x), example_targets(problem, x), problem.output_kind).mean().backward()
    trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not trainable:
        raise BrokenContract("there is no trainable parameter")
    without = [name for name, p in trainable.items() if p.grad is None]
    if len(without) == len(trainable):
        raise BrokenContract("the loss has no gradient for any parameter")
    return f"no gradient for {', '.join(without[:4])}" if without else ""


def same_seed_same_model(model: Any, build: Any, problem: Problem) -> str:
    """The constructor draws from torch's global generator alone."""
    import torch

    first, second = build().state_dict(), build().state_dict()
    differ = [name for name in first if not torch.equal(first[name], second[name])]
    if differ:
        return f"two instances with one seed differ in {', '.join(differ[:3])}: results will not repeat"
    return ""


def predicts_alike_twice(model: Any, build: Any, problem: Problem) -> str:
    """In evaluation mode the same input gives the same output."""
    import torch

    model.eval()
    x = example_inputs(problem, BATCH)
    with torch.no_grad():
        same = torch.allclose(model(x), model(x), atol=1e-6)
    return "" if same else "in evaluation mode two calls differ (is dropout always on?)"


def predicts_each_alone(model: Any, build: Any, problem: Problem) -> str:
    """The prediction for x does not depend on the rest of the batch."""
    import torch

    model.eval()
    x = example_inputs(problem, BATCH)
    with torch.no_grad():
        together, alone = model(x), torch.cat([model(row) for row in x.split(1)])
    if torch.allclose(together, alone, atol=1e-4, rtol=1e-3):
        return ""
    return (
        "transductive: the prediction for x changes with the rest of the batch; results will be read with that in mind"
    )


def reads_no_later_token(model: Any, build: Any, problem: Problem) -> str:
    """The next token is predicted from earlier ones."""
    from baselines.contract import check_causal

    if problem.output_kind == "sequence":
        check_causal(model, problem)
    return ""


def fits_and_predicts(model: Any, build: Any, problem: Problem) -> str:
    """An estimator fits a small training set and returns what is expected."""
    import torch

    from baselines.contract import BrokenContract, FittedEstimator, check_outputs
    from tasks.types import Batch

    x = example_inputs(problem, problem.n_train)
    fitted = FittedEstimator(model, problem)
    fitted.fit(Batch(x, example_targets(problem, x)))
    outputs = check_outputs(fitted(x[:BATCH]), problem, x[:BATCH])
    if not bool(torch.isfinite(outputs).all()):
        raise BrokenContract("its predictions are not finite")
    return ""


NETWORK_CLAUSES: dict[str, Callable[..., str]] = {
    "returns (N, C) or (N, L, C), finite": returns_outputs,
    "takes a single example": takes_one_example,
    "takes longer inputs than in training": takes_longer_inputs,
    "a next token depends on no later one": reads_no_later_token,
    "leaves its input alone": leaves_inputs_alone,
    "gradients reach the parameters": gradients_reach_parameters,
    "one seed, one model": same_seed_same_model,
    "deterministic in evaluation mode": predicts_alike_twice,
    "each prediction on its own": predicts_each_alone,
}
ESTIMATOR_CLAUSES: dict[str, Callable[..., str]] = {"fits and predicts": fits_and_predicts}


def is_algorithm(found: type) -> bool:
    """Whether a class means to be a training algorithm, such as an optimizer, and not a model."""
    from torch import nn
    from torch.optim import Optimizer

    if issubclass(found, Optimizer):
        return True
    trains = callable(getattr(found, "loss", None)) or callable(getattr(found, "backward", None))
    return trains and not issubclass(found, nn.Module) and not hasattr(found, "fit")


def inspect_in_worker(reference: str, folder: str) -> None:
    """The child's part: inspect the class and leave the findings in a file."""
    from benchmarks.trial_process import isolate, leave

    isolate(Path(folder), MEMORY_GIB)
    model = Reference(**json.loads(reference))
    try:
        found = references.load_class(model)
        examine = inspect_algorithm if is_algorithm(found) else inspect_class
        findings = [check_search(model, found, is_algorithm(found)), *examine(found, dict(model.hparams))]
    except BaseException as error:  # importing a user's file may raise anything
        findings = [Finding("", "can be imported", "broken", say(error))]
    (Path(folder) / "findings.json").write_text(json.dumps([asdict(finding) for finding in findings]))
    leave(0)


def findings_of(model: Reference) -> list[Finding]:
    """What a process of its own finds out about a class, within a minute."""
    from benchmarks.forkserver import start_forkserver

    with tempfile.TemporaryDirectory(prefix="offpiste-check-") as folder:
        arguments = (json.dumps(asdict(model)), folder)
        process = start_forkserver().Process(target=inspect_in_worker, args=arguments)
        process.start()
        process.join(SECONDS)
        if process.is_alive():
            process.kill()
            process.join()
            return [Finding("", "ends", "broken", f"no answer within {SECONDS:g} s: is there an endless loop?")]
        found = Path(folder) / "findings.json"
        if not found.exists():
            return [Finding("", "ends", "broken", f"its process ended with exit code {process.exitcode}")]
        return [Finding(**finding) for finding in json.loads(found.read_text())]


def named(word: str) -> list[Reference]:
    """The model classes and training algorithms that a word names.

    Raises:
        UnknownName: for a name that neither has, with the nearest of both.
        UnusableClass: for a reference whose file, module or class is not there.
    """
    found: dict[str, Reference] = {}
    for kind in get_args(Kind):
        with suppress(UnknownName):
            found |= {reference.name: reference for reference in references.matches(word, kind)}
    if not found:
        known = {name for kind in get_args(Kind) for name in references.registered(kind)}
        yours = "a class of yours is 'file.py:Class'"
        raise UnknownName(f"no baseline and no training algorithm {word!r} ({yours}); {nearest(word, known)}")
    return list(found.values())


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.check",
        description="Hold a model class or a training algorithm to its contract, before anything is trained.",
        epilog="Exit status: 0 every clause holds, 1 some are broken, 2 there is no such class.",
    )  # fmt: skip
    parser.add_argument(
        "name", nargs="+", metavar="CLASS", help="file.py:Class, package.module:Class, a baseline or an algorithm"
    )
    options = parser.parse_args(arguments)
    try:
        classes = {reference.name: reference for word in options.name for reference in named(word)}
    except (UnknownName, UnusableClass) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    broken = False
    for name, reference in classes.items():
        findings = findings_of(reference)
        print_findings(name, findings)
        broken |= any(finding.verdict == "broken" for finding in findings)
    return int(broken)


def print_findings(name: str, findings: Sequence[Finding]) -> None:
    """A line for every kind of problem, and one for every clause that does not simply hold."""
    print(name)
    for problem, group in itertools.groupby(findings, key=lambda finding: finding.problem):
        found = list(group)
        n_ok = sum(finding.verdict == "ok" for finding in found)
        print(f"  {problem or 'the class itself'}: {n_ok} clause{'s' * (n_ok != 1)} hold{'s' * (n_ok == 1)}")
        for finding in found:
            if finding.verdict != "ok":
                print(f"    {finding.verdict.upper():8} {finding.clause}: {printable(finding.detail)}")
    broken = sum(finding.verdict == "broken" for finding in findings)
    print(f"{name}: {f'{broken} broken' if broken else 'keeps the contract'}")


if __name__ == "__main__":
    sys.exit(main())
