import math

import pytest

from rtvox.errors import ParameterError
from rtvox.params import PARAMS, Param, Params, Switch, find_param, parse_setting

PART = Param("part", "", 0.0, 1.0, 0.25, 50.0, "from vocal to the rest")


def test_rows_are_sound() -> None:
    for name, param in PARAMS.items():
        assert name == param.name
        assert param.low < param.high
        assert param.check(param.default) == param.default
        assert param.smoothing_ms >= 0.0
        assert param.doc.endswith(".")
        if isinstance(param, Switch):
            assert (param.low, param.high) == (0.0, len(param.choices) - 1.0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mix=0.25", ("mix", 0.25)),
        (" mix = 1 ", ("mix", 1.0)),
        ("input_gain=-6", ("input_gain", -6.0)),
        ("bypass=on", ("bypass", 1.0)),
        ("bypass=0", ("bypass", 0.0)),
        ("miss_policy=Silence", ("miss_policy", 1.0)),
    ],
)
def test_parse(text: str, expected: tuple[str, float]) -> None:
    assert parse_setting(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mix", "needs NAME=VALUE"),
        ("mix=loud", "mix=loud: not a number; needs 0 to 1"),
        ("mix=1.5", "mix=1.5: needs 0 to 1"),
        ("mix=nan", "mix=nan: needs 0 to 1"),
        ("input_gain=99", "input_gain=99: needs -60 to 24 dB"),
        ("bypass=0.5", r"bypass=0.5: needs 0 \(off\) or 1 \(on\)"),
        ("bypass=maybe", r"bypass=maybe: not a number; needs 0 \(off\) or 1 \(on\)"),
        ("mixx=1", "mixx: no such control; did you mean mix"),
        ("output=1", "output: no such control; did you mean output_gain"),
        ("zzzzzz=1", "zzzzzz: no such control; there are input_gain, .*, mix"),
    ],
)
def test_parse_refuses(text: str, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        parse_setting(text)


def test_find_looks_into_the_given_table() -> None:
    assert find_param("part", {"part": PART}) is PART
    with pytest.raises(ParameterError, match="part"):
        find_param("part")


def test_values_start_at_the_defaults_and_follow_set() -> None:
    params = Params()
    assert params.values() == {name: param.default for name, param in PARAMS.items()}
    params.set("mix", 0.5)
    assert params.get("mix") == params["mix"] == params.target("mix", 0.0) == 0.5
    with pytest.raises(ParameterError, match="mix=2: needs 0 to 1"):
        params.set("mix", 2)
    assert params.get("mix") == 0.5


def test_controls_of_a_model_come_and_go() -> None:
    params = Params()
    with pytest.raises(ParameterError, match="part: no such control"):
        params.set("part", 1.0)
    params.join([PART])
    assert params.get("part") == 0.25
    params.set("part", 0.75)
    params.join([PART])
    assert params.get("part") == 0.75  # both models have it: it stays
    params.join([Param("part", "", 0.0, 0.5, 0.1, 0.0, "a narrower one")])
    assert params.get("part") == 0.1  # out of the new range: the new default
    params.join([])
    assert "part" not in params.values()
    assert params.target("part", 0.6) == 0.6
    with pytest.raises(ParameterError, match="part: no such control"):
        params.get("part")


def test_a_model_cannot_take_over_a_control_of_rtvox() -> None:
    params = Params()
    with pytest.raises(ParameterError, match="mix: a model may not have"):
        params.join([PART, Param("mix", "", 0.0, 9.0, 9.0, 0.0, "a trap")])
    assert params.get("mix") == 1.0
    assert math.isclose(params.table["mix"].high, 1.0)
