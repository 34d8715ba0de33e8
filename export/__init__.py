"""The offline side: recordings -> trained weights -> a proven ONNX file. The only place that imports torch.

Reading order: `recordings/library.py` (decode and keep), `recordings/mixes.py` (training mixes, made on the fly),
`networks/streaming.py` and `networks/isolate.py`, `losses.py`, `train.py`, `to_onnx.py`, `verify.py`, `evaluate.py`.
The command line is `python -m export prepare|train|export|evaluate`, each with a recipe from `recipes/`.
"""
