from __future__ import annotations

import pytest

from strategic_envs.scripts.options import InputError, literal, take_options


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-2", -2),
        ("0.5", 0.5),
        ("1e-3", 1e-3),
        ("true", True),
        ("False", False),
        ("none", None),
        ("inf", float("inf")),
        ("[1, 2]", [1, 2]),
        ("(1.5,)", (1.5,)),
        ("'3'", "3"),
        ("forsaken", "forsaken"),
        ("a b(", "a b("),
        ("", ""),
    ],
)
def test_values_are_read_as_a_user_types_them(text: str, value: object) -> None:
    got = literal(text)
    assert got == value and type(got) is type(value)


def test_generic_options_may_stand_anywhere_and_leave_the_rest_in_order() -> None:
    rest, options = take_options(["--env.n=3", "layers_v0", "--agent.step-size", "-0.5", "--seed", "1"])
    assert rest == ["layers_v0", "--seed", "1"]
    assert options.env == {"n": 3} and options.agent == {"step_size": -0.5}


@pytest.mark.parametrize("words", [["--env.n"], ["--env.n", "--seed"], ["--env.", "3"], ["--env.a.b", "3"]])
def test_a_generic_option_without_key_or_value_is_refused(words: list[str]) -> None:
    with pytest.raises(InputError, match="VALUE"):
        take_options(words)
