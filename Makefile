# Every target sets up what it needs (scripts/setup.sh) in a .venv of its own; a second call installs nothing.

.PHONY: help demo live gui bench test lint docs
.DEFAULT_GOAL := help

help: ## say what can be made
	@sed -n 's/^\([a-z]*\):[^#]*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

demo: ## convert the demo clip with every model: figures here, sound and a picture in demo/ (no torch needed)
	@scripts/setup.sh run
	@.venv/bin/rtvox demo

live: ## convert the default microphone to the default speaker; more with ARGS="--model isolate --input NAME"
	@scripts/setup.sh live
	@.venv/bin/rtvox live $(ARGS)

gui: ## open the window, and an engine if none runs; more with ARGS="--connect HOST:PORT"
	@scripts/setup.sh gui
	@.venv-gui/bin/rtvox gui $(ARGS)

bench: ## measure the data path stage by stage; more with ARGS="--loopback"
	@scripts/setup.sh run
	@.venv/bin/rtvox bench $(ARGS)

test: ## run the whole test suite, sound systems included; fewer with ARGS="-m 'not slow'"
	@scripts/setup.sh test
	@.venv-dev/bin/python -m pytest $(ARGS)

lint: ## check style, types, and who may import what
	@scripts/setup.sh test
	@.venv-dev/bin/ruff check
	@.venv-dev/bin/ruff format --check
	@.venv-dev/bin/mypy
	@.venv-dev/bin/lint-imports

docs: ## write the generated tables of README.md and checkpoints/README.md anew
	@scripts/setup.sh run
	@.venv/bin/python -m rtvox.report
