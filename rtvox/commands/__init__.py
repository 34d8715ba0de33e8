"""One file per command of `rtvox`: `add_arguments(parser)` declares its flags, `run(args)` returns the exit code.

A command's docstring is its help. Importing one is cheap: it imports what it works with inside `run`, so that
`rtvox --help` neither waits for onnxruntime nor fails where PortAudio is missing. Shared flags are in `options`.
Read next: `__main__.py`.
"""
