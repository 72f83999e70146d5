"""benchmarks.check: which classes a word names, what is told of each, and what a bad class is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest

from baselines import references
from baselines.references import Kind, UnusableClass
from benchmarks import check
from benchmarks.check_algorithm import inspect_algorithm
from benchmarks.check_search import check_search
from benchmarks.findings import Finding

LOSS = "return (model(batch.x) ** 2).mean()"
ALGORITHM = """
class Mine:
    {search}
    def __init__(self, problem, penalty=1.0):
        pass

    def loss(self, model, batch, step):
        {loss}
{more}
"""
NETWORK = """
from torch import nn


class Mine(nn.Module):
    {search}
    def __init__(self, problem, width=8):
        super().__init__()
"""


def findings_of(loss: str = LOSS, more: str = "") -> list[Finding]:
    """What is found out about an algorithm with this loss and this further text."""
    space: dict[str, Any] = {}
    exec(ALGORITHM.format(search="", loss=loss, more=more), space)  # the text of a user's file
    return list(inspect_algorithm(space["Mine"], {}))


def broken(findings: list[Finding]) -> dict[str, str]:
    """Clause to detail of what is broken on classes."""
    return {finding.clause: finding.detail for finding in findings if finding.verdict == "broken"}


def search_of(folder: Path, text: str, of_algorithm: bool) -> Finding:
    """The finding about the search of the class in a file."""
    path = folder / "mine.py"
    path.write_text(text)
    reference = references.submitted(f"{path}:Mine")
    return check_search(reference, references.load_class(reference), of_algorithm)


# --- search ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", get_args(Kind))
def test_what_the_suite_declares_can_be_searched(kind: Kind) -> None:
    for reference in references.registered(kind).values():
        finding = check_search(reference, references.load_class(reference), kind == "algorithm")
        assert finding.verdict == "ok", (reference.name, finding.detail)


@pytest.mark.parametrize("text", [ALGORITHM, NETWORK], ids=["algorithm", "network"])
@pytest.mark.parametrize(
    ("search", "complaint"),
    [
        ("{'NAME': ('loguniform', 0, 1)}", "search range NAME is ('loguniform', 0, 1); expected"),
        ("{'NAME': ('gaussian', 0, 1)}", "search range NAME is ('gaussian', 0, 1); expected"),
        ("{'NAME': ('integers', 0, 10**30)}", "not written out as a literal (no calls, no names)"),
        ("{'NAME': ('integers', 0, 1" + "0" * 30 + ")}", "search range NAME is ('integers', 0, 1"),
        ("{'NAME': 3}", "search range NAME is 3; expected"),
        ("{'colour': ('choice', 'red')}", "colour is no parameter of __init__"),
        ("{'problem': ('choice', 1)}", "problem is no parameter of __init__"),
        ("{1: ('choice', 1), 'self': ('choice', 2)}", "1, self are no parameters of __init__"),
        ("dict(NAME=('choice', 1))", "search is not written out as a literal (no calls, no names)"),
        ("[1]", "search is a list, not a dict"),
    ],
)
def test_a_search_that_cannot_be_drawn_from_is_broken(tmp_path: Path, text: str, search: str, complaint: str) -> None:
    name = "penalty" if text == ALGORITHM else "width"
    declared = f"search = {search.replace('NAME', name)}"
    finding = search_of(tmp_path, text.format(search=declared, loss=LOSS, more=""), text == ALGORITHM)
    assert finding.verdict == "broken"
    assert complaint.replace("NAME", name) in finding.detail
    assert "0x" not in finding.detail and "mine-mine@" not in finding.detail


def test_a_model_searches_fields_of_the_recipe_and_an_algorithm_does_not(tmp_path: Path) -> None:
    declared = "search = {'learning_rate': ('loguniform', 1e-4, 1e-2)}"
    assert search_of(tmp_path, NETWORK.format(search=declared), False).verdict == "ok"
    finding = search_of(tmp_path, ALGORITHM.format(search=declared, loss=LOSS, more=""), True)
    assert finding.detail == "learning_rate is no parameter of __init__; it takes penalty"


@pytest.mark.parametrize(
    ("constructor", "verdict"),
    [("def __init__(self, problem, **settings): pass", "ok"), ("kind = 'without a constructor'", "broken")],
)
def test_a_constructor_may_take_any_name_or_none(tmp_path: Path, constructor: str, verdict: str) -> None:
    text = f"class Mine:\n    search = {{'tau': ('choice', 1)}}\n    {constructor}\n    def loss(self, *args): pass\n"
    assert search_of(tmp_path, text, True).verdict == verdict


def test_an_estimator_of_scikit_learn_is_built_without_the_problem(tmp_path: Path) -> None:
    text = "class Mine:\n    search = {'c': ('choice', 1)}\n    def __init__(self, c=1): pass\n"
    text += "    def get_params(self): pass\n"
    assert search_of(tmp_path, text, False).verdict == "ok"


def test_the_command_holds_the_search_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.py"
    path.write_text(ALGORITHM.format(search="search = {'penalty': ('loguniform', 0, 1)}", loss=LOSS, more=""))
    assert check.main([f"{path}:Mine"]) == 1
    assert "BROKEN   search: search range penalty is ('loguniform', 0, 1)" in capsys.readouterr().out


# --- clauses of an algorithm ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        ("None", "deployed returned NoneType, not a function of inputs"),
        ("lambda x: model(x)[:, :1].expand(-1, 7)", "what deployed returned: forward returned shape (48, 7)"),
        ("lambda x: model(x).argmax(-1)", "what deployed returned: forward returned shape (48,)"),
        ("lambda x: model(x).long()", "torch.int64; expected a floating type"),
        ("lambda x: model(x).tolist()", "what deployed returned: forward returned list, not a tensor"),
        ("lambda x: model(x) / 0 * 0", "outputs of what deployed returned are not finite"),
        ("lambda x: model(y)", "NameError: name 'y' is not defined"),
    ],
)
def test_what_is_deployed_must_answer_like_a_model(answer: str, complaint: str) -> None:
    found = findings_of(more=f"    def deployed(self, model):\n        return {answer}\n")
    assert complaint in broken(found)["deploys a function like a model"]


def test_a_deployed_function_may_change_its_copy_of_the_inputs() -> None:
    assert broken(findings_of(more="    def deployed(self, model):\n        return lambda x: model(x.mul_(2))\n")) == {}


@pytest.mark.parametrize(
    ("loss", "more", "names"),
    [
        (f"batch.env.add_(1)\n        {LOSS}", "", "env"),
        (f"batch.group.zero_()\n        batch.y.zero_()\n        {LOSS}", "", "y, group"),
        (LOSS, "    def begin(self, model, training):\n        training.train[0].env.zero_()\n", "env"),
        (
            f"batch.weight.mul_(2)\n        {LOSS}",
            "    def prepared(self, training):\n"
            "        from dataclasses import replace\n"
            "        import torch\n"
            "        first = replace(training.train[0], weight=torch.ones(48))\n"
            "        return replace(training, train=[first])\n",
            "weight",
        ),
        (
            LOSS,
            "    def prepared(self, training):\n        training.train[0].x.mul_(2)\n        return training\n",
            "x",
        ),
    ],
)
def test_a_change_of_anything_in_a_batch_is_noticed(loss: str, more: str, names: str) -> None:
    found = broken(findings_of(loss, more))["leaves the data alone"]
    assert found == f"it changes a batch in place ({names}); the next step would see other data"


def test_a_loss_that_is_no_number_is_told_once() -> None:
    found = findings_of("return model(batch.x).sum() * float('nan')")
    for problem in ("classes", "values"):
        told = [f for f in found if f.problem == problem]
        assert [(f.clause, f.verdict, f.detail) for f in told] == [
            ("its loss is a finite scalar", "broken", "the loss is nan")
        ]


def test_a_constructor_that_is_not_implemented_skips_the_problem() -> None:
    more = "    def __init__(self, problem):\n        if problem.output_kind == 'values':\n"
    more += "            raise NotImplementedError('classes alone')\n"
    found = findings_of(more=more)
    assert [(f.problem, f.detail) for f in found if f.verdict == "skipped"] == [("values", "classes alone")]
    assert broken(found) == {}


# --- the command ----------------------------------------------------------------------------------------------------


def test_words_name_models_algorithms_and_both() -> None:
    def names(word: str) -> set[str]:
        return {reference.name for reference in check.named(word)}

    assert names("irm") == {"irm"} and names("mlp") == {"mlp"}
    every = [*references.registered("model").values(), *references.registered("algorithm").values()]
    assert names("all") == {reference.name for reference in every if not reference.special}
    assert {"irm", "iga"} <= names("i*") and "linear" in names("l*")


def test_a_registered_algorithm_is_checked_by_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main(["irm"]) == 0
    assert "irm: keeps the contract" in capsys.readouterr().out


@pytest.mark.parametrize(("word", "near"), [("irmm", "irm"), ("mlpp", "mlp")])
def test_an_unknown_word_is_answered_with_the_nearest_of_both(
    capsys: pytest.CaptureFixture[str], word: str, near: str
) -> None:
    assert check.main([word]) == 2
    told = capsys.readouterr().err
    assert f"no baseline and no training algorithm {word!r}" in told and near in told.partition("nearest: ")[2]


def test_what_a_terminal_would_obey_is_not_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.py"
    path.write_text(ALGORITHM.format(search="", loss=r"raise ValueError('red \x1b[31m bell \x07 end')", more=""))
    assert check.main([f"{path}:Mine"]) == 1
    told = capsys.readouterr().out
    assert "ValueError: red ?[31m bell ? end (mine.py:" in told
    assert "\x1b" not in told and "\x07" not in told


def test_a_class_that_is_nothing_is_told_all_that_it_could_be() -> None:
    (told,) = broken(list(check.inspect_class(type("Nothing", (), {}), {}))).values()
    assert told == (
        "Nothing is neither an nn.Module nor a class with fit and predict, "
        "nor a training algorithm with loss(model, batch, step), nor an optimizer"
    )


def test_a_class_with_backward_alone_is_an_algorithm() -> None:
    assert check.is_algorithm(type("Mine", (), {"backward": lambda *args: None}))
    assert not check.is_algorithm(type("Mine", (), {"fit": lambda *args: None}))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"class Mine:\n    x = = 1\n", "invalid syntax (mine.py, line 2)"),
        (b"x = '\xff'\n", "codec can't decode"),
        (b"x = 1\x00\n", "null bytes"),
    ],
)
def test_a_file_that_is_not_python_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, complaint: str
) -> None:
    path = tmp_path / "mine.py"
    path.write_bytes(content)
    assert check.main([f"{path}:Mine"]) == 2
    told = capsys.readouterr().err
    assert f"{path} is not Python: " in told and complaint in told


def test_a_package_that_is_not_python_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bent").mkdir()
    (tmp_path / "bent" / "__init__.py").write_text("x = = 1\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnusableClass, match=r"invalid syntax \(__init__.py, line 1\)"):
        references.submitted("bent.inner:Mine")
