"""Every shipped model replays the golden digest that its export measured, and its manifest is fit to be shipped.

One test loops over the folder, so that a folder without models is a pass that says nothing and never a skip.
"""

from __future__ import annotations

from pathlib import Path

from rtvox.manifest import Manifest
from rtvox.model_file import list_models, load_model
from rtvox.onnx_stage import verify_golden

CHECKPOINTS = Path(__file__).parent.parent / "checkpoints"


def test_every_checkpoint_replays_its_golden_digest() -> None:
    for path, manifest in list_models(CHECKPOINTS):
        assert isinstance(manifest, Manifest), manifest
        verify_golden(load_model(path))


def test_every_checkpoint_is_named_as_its_file_and_says_where_it_comes_from() -> None:
    for path, manifest in list_models(CHECKPOINTS):
        assert isinstance(manifest, Manifest), manifest
        assert manifest.name == path.stem
        assert manifest.title
        assert manifest.metrics
        assert manifest.provenance.data
        for source in manifest.provenance.data:
            assert source.source
            assert source.attribution
            # docs/design.md section 6: share-alike and non-commercial recordings may measure, never train
            licence = source.licence.upper()
            assert licence
            if not licence.startswith("PHILHARMONIA"):  # the orchestra's own terms, which section 6 admits by name
                assert "SA" not in licence.replace("-", " ").split(), source
            assert "NC" not in licence.replace("-", " ").split(), source
