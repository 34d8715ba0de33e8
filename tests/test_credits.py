"""Credits: from index.csv over credits.json to the lines that a manifest shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from export.recordings.credits import (
    WORKS,
    attribution,
    credit_of,
    read_credits,
    read_index,
    write_credits,
    write_index,
)
from rtvox.errors import ParameterError


@pytest.mark.parametrize("source", [source for source in WORKS if "John" in source or "MinJi" in source])
def test_cc_by_names_title_maker_place_licence_and_change(source: str) -> None:
    line = attribution(source, "CC-BY-3.0")
    for part in (
        "J. S. Bach",
        f"played by {source.rpartition(', ')[2]}",
        "https://github.com/salu133445/bach-violin-dataset",
        "CC BY 3.0, https://creativecommons.org/licenses/by/3.0/",
        "changed: ",
    ):
        assert part in line


def test_a_licence_with_a_remark_keeps_it() -> None:
    line = attribution("librosa/data", "CC-BY-3.0 or public domain (Kevin MacLeod; Brahms)")
    assert "by Kevin MacLeod (incompetech.com)" in line
    assert "CC BY 3.0 or public domain (Kevin MacLeod; Brahms), https://creativecommons.org/licenses/by/3.0/" in line


def test_unknown_cc_by_sources_are_named_as_their_index_does() -> None:
    assert attribution("Ann, song", "CC-BY-4.0").startswith("Ann, song; CC BY 4.0, https://")


def test_terms_that_are_no_common_licence_are_kept_word_for_word() -> None:
    assert attribution("Philharmonia Orchestra samples", "Philharmonia terms: use").endswith(
        "; Philharmonia terms: use"
    )


def test_attributions_are_one_printable_line() -> None:
    assert all(attribution(source, "CC-BY-3.0").isprintable() for source in WORKS)


def test_index_and_credits_are_read_as_written(tmp_path: Path) -> None:
    rows = {"a/b.flac": ('me, "quoted"', "CC0-1.0"), "c.flac": ("you", "CC-BY-4.0")}
    write_index(tmp_path, rows)
    assert read_index(tmp_path) == rows
    write_credits(tmp_path / "cache", rows.values())
    assert read_credits(tmp_path / "cache") == set(rows.values())
    assert read_credits(tmp_path) == set()
    assert read_index(tmp_path / "cache") == {}


def test_files_without_a_row_are_the_users_own(tmp_path: Path) -> None:
    assert credit_of({}, Path("a.flac"), tmp_path / "songs") == ("songs", "your own")


def test_share_alike_may_not_train(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"a\.flac: is CC-BY-SA-4\.0; weights trained on it"):
        credit_of({"a.flac": ("them", "CC-BY-SA-4.0")}, Path("a.flac"), tmp_path)


def test_an_index_without_its_columns_is_named(tmp_path: Path) -> None:
    (tmp_path / "index.csv").write_text("file,source\na.flac,me\n")
    with pytest.raises(ParameterError, match=r"index\.csv: no column 'path'; its first line must be path,source"):
        read_index(tmp_path)
