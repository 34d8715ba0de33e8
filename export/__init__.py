"""The offline side: recordings -> trained weights -> a proven ONNX file. The only place that imports torch.

    recordings ──► recordings/made.py ──► recordings/library.py ──► recordings/mixes.py     `prepare`; mixes on the fly
    spectra.py ──► networks/ ──► losses.py ──► train.py ──► checkpoints.py                  `train`
    to_onnx.py ──► verify.py ──► NAME.onnx ──► evaluate.py                                  `export`, `evaluate`

The command line is `python -m export prepare|train|export|evaluate RECIPE`; a recipe (`recipe.py`, `recipes/*.toml`)
says all that a training depends on. Read in the order of the arrows; `networks/streaming.py` before its networks.
"""
