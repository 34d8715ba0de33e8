"""Who may import what: import-linter's contracts, the door into the runtime that training has, and a light runtime."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# What training may take from the runtime: definitions that both must share, nothing that runs live.
OPEN_TO_EXPORT = {
    "rtvox.errors",
    "rtvox.features",
    "rtvox.golden",
    "rtvox.griffin_lim",  # what makes sound of a vocoder's magnitudes
    "rtvox.manifest",
    "rtvox.model_file",
    "rtvox.params",
    "rtvox.phonemes",
    "rtvox.pitch",
    "rtvox.stage",
}
HEAVY = ("torch", "torchaudio", "lightning", "librosa", "scipy", "matplotlib", "PyQt6", "export", "gui")


def test_the_contracts_of_pyproject_hold() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", sorted((ROOT / "export").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_export_imports_only_shared_definitions(path: Path) -> None:
    imported = {name for name in _imports(path) if name.split(".")[0] == "rtvox"}
    assert {".".join(name.split(".")[:2]) for name in imported} <= OPEN_TO_EXPORT


@pytest.mark.parametrize("module", ["rtvox.__main__", "rtvox.engine", "rtvox.convert", "rtvox.bench", "rtvox.demo"])
def test_the_runtime_loads_nothing_heavy(module: str) -> None:
    script = f"import sys, {module}; print(*sorted(name for name in {HEAVY} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_help_waits_for_no_library() -> None:
    script = "import sys, rtvox.__main__ as m; m.build_parser().format_help(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {"numpy", "onnxruntime", "sounddevice", "soundfile"} & set(done.stdout.split()) == set()


def _imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {f"{node.module}.{alias.name}" if node.module == "rtvox" else node.module for alias in node.names}
    return names
