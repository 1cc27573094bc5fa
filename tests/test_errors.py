from __future__ import annotations

import pickle
import sys

import pytest

from strategic_envs import errors


def test_an_unknown_name_offers_the_nearest_ones_and_lists_all() -> None:
    error = errors.UnknownNameError("environment", "duopoly_pricing", ["duopoly_pricing_v0", "tic_tac_toe"])
    assert str(error) == (
        "unknown environment 'duopoly_pricing': did you mean 'duopoly_pricing_v0'? "
        "There are: duopoly_pricing_v0, tic_tac_toe"
    )
    assert str(errors.UnknownNameError("game", "zzz", [])) == "unknown game 'zzz': There are: none"
    assert str(errors.UnknownNameError("game", 3, ["f1"])) == "unknown game 3: There are: f1"


def test_an_unknown_name_goes_through_a_process_border() -> None:
    error = errors.UnknownNameError("game", "f", ["f1", "f2"])
    other = pickle.loads(pickle.dumps(error))
    assert (str(other), other.options, other.args) == (str(error), ["f1", "f2"], error.args)


@pytest.mark.parametrize(
    ("error", "base"),
    [
        (errors.UnknownNameError, KeyError),
        (errors.InvalidGameError, ValueError),
        (errors.InvalidStrategyError, ValueError),
        (errors.IllegalActionError, errors.InvalidStrategyError),
        (errors.OutOfBoundsActionError, errors.IllegalActionError),
        (errors.OutOfBoundsActionError, AssertionError),  # as of PettingZoo's wrappers
        (errors.OutOfOrderError, errors.IllegalActionError),
        (errors.OutOfOrderError, AssertionError),
        (errors.OracleError, TypeError),
        (errors.DataError, ValueError),
        (errors.CheckpointError, ValueError),
        (errors.MissingExtraError, ImportError),
    ],
)
def test_ordinary_except_clauses_catch_our_errors(error: type[Exception], base: type[Exception]) -> None:
    assert issubclass(error, base) and error.__name__ in errors.__all__ and error.__doc__


def test_a_missing_extra_is_named() -> None:
    with pytest.raises(errors.MissingExtraError) as caught:
        errors.require("no_such_package.part", "plots", "Drawing")
    assert str(caught.value) == (
        "Drawing needs the package 'no_such_package', which is not installed: run pip install \"strategic-envs[plots]\""
    )


def test_a_package_that_is_there_and_broken_is_not_called_missing(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_package_of_a_test.py").write_text("import no_such_dependency")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_dependency") as caught:
        errors.require("broken_package_of_a_test", "plots", "Drawing")
    assert not isinstance(caught.value, errors.MissingExtraError)


def test_what_is_there_is_imported() -> None:
    assert errors.require("json", "plots", "Drawing") is sys.modules["json"]
