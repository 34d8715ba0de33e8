"""Tables: of models from their manifests, of controls from PARAMS, as plain text or Markdown.

`python -m rtvox.report` (`make docs`) writes them anew between the markers of README.md, checkpoints/README.md and
docs/osc.md; `tests/test_readme.py` fails when they are out of date. Main thread. Read next: `params.py`, `manifest.py`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from rtvox.errors import ModelFileError
from rtvox.manifest import SAMPLE_RATE, Manifest
from rtvox.model_file import list_models, model_folders
from rtvox.osc_tree import ANSWERS, COMMANDS, LISTS, STATE, STATUS, STREAMS, Address, param_addresses
from rtvox.params import PARAMS, Param
from rtvox.patches import max_patch, pd_patch, supercollider_controls
from rtvox.providers import PROVIDERS
from rtvox.synthesis import algorithmic_delay

CONVERTERS = "mask", "mel"  # roles that can be loaded by themselves


def find_models(*, every_role: bool = False) -> tuple[dict[Path, Manifest], list[ModelFileError]]:
    """Return the usable models of all folders, by path, and what is wrong with the others.

    Of two files with one name only the first counts, as for `find_model`. Vocoders and voices, which convert nothing by
    themselves, are left out unless they are asked for.
    """
    found: dict[str, tuple[Path, Manifest | ModelFileError]] = {}
    for folder in model_folders():
        for path, manifest in list_models(folder):
            found.setdefault(path.name, (path, manifest))
    models = {path: manifest for path, manifest in found.values() if isinstance(manifest, Manifest)}
    usable = {path: manifest for path, manifest in models.items() if every_role or manifest.role in CONVERTERS}
    return usable, [error for _, error in found.values() if isinstance(error, ModelFileError)]


def models_table(models: dict[Path, Manifest], *, markdown: bool = False) -> str:
    """Return one row per model, from the manifests; as plain text, figures and licences stand in lines below."""
    header = ["model", "what it does", "role", "delay", "size", "controls"]
    details = ["measured at export", "licences of its data"]
    rows, notes = [], []
    for path, manifest in models.items():
        name = f"`{path.stem}`" if markdown else path.stem
        delay, size = in_ms(algorithmic_delay(manifest)), f"{path.stat().st_size / 1e6:.2g} MB"
        controls = ", ".join(f"{row.name} {row.range_text()}" for row in manifest.rows)
        figures = ", ".join(f"{what.replace('_', ' ')} {_short(value)}" for what, value in manifest.metrics.items())
        terms = {term for source in manifest.provenance.data for term in source.licence.split("; rooms ")}
        licences = ", ".join(sorted(terms))
        rows.append([name, manifest.title, manifest.role, delay, size, controls or "none"])
        notes.append([figures or "nothing", licences or "none"])
    if markdown:
        return table([*header, *details], [row + note for row, note in zip(rows, notes, strict=True)], markdown=True)
    lines = [
        f"{row[0]}, {detail}: {text}"
        for row, note in zip(rows, notes, strict=True)
        for detail, text in zip(details, note, strict=True)
    ]
    return "\n".join([table(header, rows), *lines])


def params_table(params: Iterable[Param]) -> str:
    """Return one row per control, in Markdown."""
    rows = [[f"`{param.name}`", param.range_text(), f"{param.default:g}", param.doc] for param in params]
    return table(["control", "range", "default", "what it does"], rows, markdown=True)


def addresses_table(addresses: Iterable[Address]) -> str:
    """Return one row per OSC address, in Markdown; asynchronous commands bear a star."""
    rows = [[f"`{row.path}`{' *' if row.waits else ''}", row.types or "-", row.doc] for row in addresses]
    return table(["address", "arguments", "what it does"], rows, markdown=True)


def providers_table() -> str:
    """Return one row per provider, and what it needs."""
    rows = [[f"`{row.name}`", row.title, row.remedy or "nothing"] for row in PROVIDERS.values()]
    return table(["provider", "runs on", "needs"], rows, markdown=True)


def sources_list(models: dict[Path, Manifest]) -> str:
    """Return, in Markdown, whom to thank: the attribution of each model's data, which states the licence too."""
    return "\n".join(
        f"* `{path.stem}`: {source.attribution}"
        for path, manifest in models.items()
        for source in manifest.provenance.data
    )


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, markdown: bool = False) -> str:
    r"""Return a table, columns aligned, or in Markdown.

    >>> print(table(["name", "ms"], [["isolate", "10.7"]]))
    name     ms
    isolate  10.7
    >>> print(table(["name"], [["a|b"]], markdown=True))
    | name |
    |---|
    | a\|b |
    """
    if markdown:
        lines = [[cell.replace("|", "\\|") for cell in row] for row in (header, *rows)]
        text = [f"| {' | '.join(line)} |" for line in lines]
        return "\n".join([text[0], "|---" * len(header) + "|", *text[1:]])
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (header, *rows)
    )


def in_ms(samples: int) -> str:
    """Return a count of samples at 48 kHz as a length of time.

    >>> in_ms(512)
    '10.7 ms'
    """
    return f"{samples / SAMPLE_RATE * 1e3:.1f} ms"


def _short(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if value == int(value) else f"{value:.3g}"


def regenerate(text: str, sections: dict[str, str]) -> str:
    """Return the text with what stands between `<!-- NAME: ... -->` and `<!-- /NAME -->` replaced by sections[NAME].

    Raises: ValueError if a pair of markers is missing.

    >>> regenerate("<!-- n: generated -->old<!-- /n -->", {"n": "new"}).split()
    ['<!--', 'n:', 'generated', '-->', 'new', '<!--', '/n', '-->']
    """
    for name, content in sections.items():
        pattern = re.compile(rf"(<!-- {name}:[^>]*-->).*?(<!-- /{name} -->)", re.DOTALL)
        if not pattern.search(text):
            raise ValueError(f"no <!-- {name}: ... --> and <!-- /{name} --> in the text")
        text = pattern.sub(lambda match, content=content: f"{match[1]}\n{content}\n{match[2]}", text)  # type: ignore[misc]
    return text


def generated_pages(root: Path) -> dict[Path, str]:
    """Return the pages under `root` that hold generated tables, as they should read."""
    models = {path: manifest for path, manifest in list_models(root / "checkpoints") if isinstance(manifest, Manifest)}
    readme, checkpoints = root / "README.md", root / "checkpoints" / "README.md"
    tables = {"controls": params_table(PARAMS.values()), "models": models_table(models, markdown=True)}
    tables["providers"] = providers_table()
    proof = {"models": tables["models"], "sources": sources_list(models)}
    osc, groups = root / "docs" / "osc.md", {"answers": ANSWERS, "state": STATE, "lists": LISTS}
    groups |= {"commands": COMMANDS, "params": param_addresses(), "status": STATUS, "streams": STREAMS}
    addresses = {name: addresses_table(rows) for name, rows in groups.items()}
    scd = root / "examples" / "rtvox.scd"
    return {
        root / "examples" / "rtvox.pd": pd_patch(),
        root / "examples" / "rtvox.maxpat": max_patch(),
        scd: regenerate(scd.read_text(encoding="utf-8"), {"controls": supercollider_controls()}),
        osc: regenerate(osc.read_text(encoding="utf-8"), addresses),
        readme: regenerate(readme.read_text(encoding="utf-8"), tables),
        checkpoints: regenerate(checkpoints.read_text(encoding="utf-8"), proof),
    }


def main() -> int:
    """Write the generated tables of the project anew."""
    root = Path(__file__).resolve().parent.parent
    for path, text in generated_pages(root).items():
        changed = not path.exists() or path.read_text(encoding="utf-8") != text
        path.write_text(text, encoding="utf-8")
        print(f"{path.relative_to(root)}: {'updated' if changed else 'is current'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
