"""The offline side: recordings -> trained weights -> a proven ONNX file. The only place that imports torch.

    recordings ──► recordings/made.py ──► recordings/library.py ──► recordings/mixes.py     `prepare isolate`
    recordings ──► recordings/screams.py, own_pairs.py, align.py ──► recordings/pairs.py    `prepare scream`
    recordings/library.py, pairs.py ──► recordings/clips.py                                 `prepare vocoder`
    recordings/made.py ──► recordings/library.py ──► recordings/beat.py, duets.py           `prepare accompany`
    recordings ──► recordings/phrases.py ──► recordings/domains.py                          `prepare timbre`
    recordings, texts ──► recordings/forced.py ──► recordings/sentences.py                  `prepare say-kathleen`
    spectra.py ──► networks/ ──► losses.py ──► tasks/ ──► train.py ──► checkpoints.py       `train`
    to_onnx.py ──► verify.py ──► NAME.onnx ──► evaluate.py, evaluate_NAME.py, measures.py   `export`, `evaluate`
    frames ──► resynthesis.py ──► sound, for evaluations to listen to

The command line is `python -m export prepare|train|export|evaluate RECIPE`; a recipe (`recipe.py`, `recipes/*.toml`)
says all that a training depends on, and `models.py` is the table of what a recipe can name. Read in the order of the
arrows; `networks/streaming.py` before its networks.
"""
