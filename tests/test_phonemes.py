"""Text to tokens: what is spoken, where it is cut, and what is refused in one line."""

from __future__ import annotations

import pytest

from rtvox.errors import MissingExtraError, ParameterError
from rtvox.phonemes import MAX_CHARACTERS, MAX_TOKENS, PAUSES, STRESSES, SYMBOLS, phonemes, sentences


def read(text: str) -> list[str]:
    """Return the sentences of a text in phonetic letters."""
    return ["".join(_letter(token) for token in tokens) for tokens in sentences(text)]


def _letter(token: int) -> str:
    stress, symbol = divmod(token, len(SYMBOLS))
    return ("", *STRESSES)[stress] + SYMBOLS[symbol]


def test_a_sentence_is_its_phonemes_between_pauses() -> None:
    assert read("Hello, world!") == ["_həlˈoʊ,wˈɜːld!"]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("One. Two! Three? Four", 4),
        ("Dr. Smith met Mr. Jones vs. nobody.", 1),
        ('He said "no." Then he left.', 2),
        ("A heading\n\nAnd a line\nthat goes on.", 2),
        ("It costs 3.50, in all.", 1),
    ],
)
def test_texts_are_cut_at_sentences(text: str, count: int) -> None:
    assert len(read(text)) == count


def test_numbers_and_emoji_are_spoken() -> None:
    assert read("7, 8") == [f"_{''.join(phonemes('seven', 'en-us').split())},{phonemes('eight', 'en-us').strip()}."]
    assert len(read("\N{GRINNING FACE}")[0]) > 6


def test_commas_dashes_and_brackets_are_pauses() -> None:
    assert [letter for letter in read("a, b - c (d) e: f?")[0] if letter in PAUSES] == [",", ",", ",", ",", ",", "?"]


@pytest.mark.parametrize("text", ["so on " * 400, "a" * 1500, f"one, {'two ' * 300}, three"])
def test_what_is_too_long_for_the_network_is_cut(text: str) -> None:
    found = list(sentences(text))
    assert len(found) > 1
    assert max(map(len, found)) <= MAX_TOKENS
    assert all(tokens[0] == SYMBOLS.index("_") and tokens[-1] < 6 for tokens in found)


def test_ten_thousand_characters_are_all_spoken() -> None:
    assert len(read("The cat sat on the mat. " * 417)) == 417


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "nothing in it can be spoken"),
        (" \n\t ", "nothing in it can be spoken"),
        ("...!?", "nothing in it can be spoken"),
        ("дом", r"'дом': д \(CYRILLIC SMALL LETTER DE\) is no Latin letter"),
        ("hello 東京", "is no Latin letter"),
        ("a" * (MAX_CHARACTERS + 1), f"at most {MAX_CHARACTERS}"),
    ],
)
def test_refusals_say_why(text: str, reason: str) -> None:
    with pytest.raises(ParameterError, match=reason) as error:
        list(sentences(text))
    assert "\n" not in str(error.value)


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(ParameterError, match="language 'xx-none'"):
        list(sentences("word", "xx-none"))


def test_without_espeak_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingExtraError, match="apt install espeak-ng"):
        list(sentences("a word that nobody has said before"))
