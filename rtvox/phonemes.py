"""Text as numbers of phonemes: what a speaking network reads, in training and live.

In: text in a language that espeak-ng knows. Out: sentences of token numbers, each short enough for the network. The
program `espeak-ng` says how words, numbers, abbreviations and emoji are spoken; it runs as a process of its own, clause
by clause, since its library is under the GPL. Runs in the caller's thread, never in the audio threads: a clause takes
about 10 ms. Read next: `speaker.py`, which speaks them.
"""

from __future__ import annotations

import re
import subprocess
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from rtvox.errors import MissingExtraError, ParameterError

# Token 0 fills up; "_" is the pause before a sentence; then the pauses that punctuation asks for; then the letters of
# the International Phonetic Alphabet as espeak-ng writes them, so that one table serves every language.
SYMBOLS = " _,.!?abcdefhijklmnopqrstuvwxyzæçðøħŋœɐɑɒɓɔɕɖɗɘəɚɛɜɝɞɟɡɢɣɤɥɦɧɨɪɫɬɭɮɯɰɱɲɳɴɵɶɸɹɺɻɽɾʀʁʂʃʄʈʉʊʋʌʍʎʏʐʑʒʔʕʙʜʝʟβθχᵻː"
START, PAUSES = "_", ",.!?"
STRESSES = (
    "ˈˌ"  # before the letter that has it: its token is that of the letter, and once or twice the table's length on
)
TOKENS = len(SYMBOLS) * (1 + len(STRESSES))
MAX_TOKENS = 256  # of a sentence: about 20 s; longer ones are cut at a clause, or a word
MAX_CHARACTERS = 100_000  # of a text: two hours
TIMEOUT_S = 10.0

_ABBREVIATION = re.compile(r"\b(Dr|Jr|Mr|Mrs|Ms|No|Prof|Sr|St|vs|e\.g|i\.e)\.(?=\s)")  # whose point ends no sentence
_SENTENCE = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+|\s*\n\s*\n\s*")
_CLAUSE = re.compile(r"([,;:.!?…]+)[\"'”’)\]]*(?:\s+|$)|\s*[()\[\]—–]\s*|\s+-+\s+")
_FLAG = re.compile(r"\([a-z-]+\)")  # where espeak-ng goes over to another language's rules


def sentences(text: str, language: str = "en-us") -> Iterator[list[int]]:
    """Yield the tokens of each sentence of a text, as soon as they are known; at most MAX_TOKENS each.

    Args:
        language: of espeak-ng, as `espeak-ng --voices` lists them.

    Raises: ParameterError (before the first sentence) if nothing in the text can be spoken, or it is in a script that
        the language is not written in; MissingExtraError if there is no espeak-ng.

    >>> len(SYMBOLS) == len(set(SYMBOLS))
    True
    """
    check(text)
    spoken = False
    for sentence in _SENTENCE.split(_ABBREVIATION.sub(r"\1", unicodedata.normalize("NFC", text))):
        for tokens in _cut(_clauses(sentence, language)):
            spoken = True
            yield tokens
    if not spoken:
        raise ParameterError(f"text {_shown(text)}: nothing in it can be spoken; give it words")


def check(text: str) -> None:
    """Refuse a text that nobody could speak.

    Raises: ParameterError that says why.
    """
    if len(text) > MAX_CHARACTERS:
        raise ParameterError(f"text of {len(text)} characters: at most {MAX_CHARACTERS}; give it in parts")
    if not any(unicodedata.category(letter)[0] in "LNS" for letter in text):
        raise ParameterError(f"text {_shown(text)}: nothing in it can be spoken; give it words")
    for letter in text:
        if letter.isalpha() and not unicodedata.name(letter, "").startswith(
            ("LATIN", "MICRO", "MASCULINE", "FEMININE")
        ):
            name = unicodedata.name(letter, f"U+{ord(letter):04X}")
            raise ParameterError(f"text {_shown(text)}: {letter} ({name}) is no Latin letter; write it as it is spoken")


def _clauses(sentence: str, language: str) -> Iterator[tuple[list[list[int]], int]]:
    """Yield the words of each clause, and the pause behind it."""
    start = 0
    for mark in [*_CLAUSE.finditer(sentence), None]:
        clause = sentence[start : mark.start()] if mark else sentence[start:]
        words = [word for word in map(_tokens, phonemes(clause.strip(), language).split()) if word]
        pause = next((p for p in "!?." if mark and mark[1] and p in mark[1].replace("…", ".")), "," if mark else ".")
        if words:
            yield words, SYMBOLS.index(pause)
        start = mark.end() if mark else 0


def _cut(clauses: Iterator[tuple[list[list[int]], int]]) -> Iterator[list[int]]:
    """Yield sentences of at most MAX_TOKENS, a pause before and after each."""
    begin, comma, stop = (SYMBOLS.index(symbol) for symbol in (START, ",", "."))
    out = [begin]
    for words, pause in clauses:
        if len(out) > 1 and len(out) + sum(map(len, words)) + 1 > MAX_TOKENS:
            yield out
            out = [begin]
        for word in words:
            for piece in (word[i : i + MAX_TOKENS - 2] for i in range(0, len(word), MAX_TOKENS - 2)):
                if len(out) + len(piece) + 1 > MAX_TOKENS:
                    yield [*out, comma]
                    out = [begin]
                out += piece
        out.append(pause)
    if len(out) > 1:
        yield [*out[:-1], stop] if out[-1] == comma else out


def _tokens(word: str) -> list[int]:
    """Return the tokens of a word in phonemes; what is not in the table is passed over."""
    out, stress = [], 0
    for letter in word:
        if letter in STRESSES:
            stress = 1 + STRESSES.index(letter)
        elif letter in SYMBOLS:
            out.append(SYMBOLS.index(letter) + stress * len(SYMBOLS))
            stress = 0
    return out


@lru_cache(maxsize=4096)
def phonemes(clause: str, language: str) -> str:
    """Return how a clause is spoken, words apart, in the International Phonetic Alphabet.

    Raises: MissingExtraError if there is no espeak-ng, ParameterError if it does not know the language.
    """
    if not clause:
        return ""
    command = ["espeak-ng", "-q", "--ipa", "-b", "1", "-v", language, "--stdin"]
    try:
        done = subprocess.run(command, input=clause.encode(), capture_output=True, timeout=TIMEOUT_S, check=False)
    except FileNotFoundError:
        raise MissingExtraError(
            "espeak-ng is not installed, which says how words are spoken; install it (Debian: apt install espeak-ng)"
        ) from None
    except subprocess.TimeoutExpired:
        raise ParameterError(f"text {_shown(clause)}: espeak-ng took over {TIMEOUT_S:g} s; shorten it") from None
    if done.returncode:
        reason = " ".join(done.stderr.decode(errors="replace").split())
        raise ParameterError(f"language {language!r}: espeak-ng says: {reason}; espeak-ng --voices lists them")
    return _FLAG.sub("", done.stdout.decode(errors="replace"))


def _shown(text: str) -> str:
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return repr(line if len(line) <= 40 else f"{line[:37]}...")
