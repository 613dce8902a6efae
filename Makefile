# `make demo` and `make test` need git, Python 3.11 or newer, make and a C++ compiler; they install the rest into .venv.
PYTHON ?= python3
BIN := .venv/bin
export OMP_WAIT_POLICY := passive
export TOKENIZERS_PARALLELISM := true

.PHONY: demo test check quick slow site clean

demo: .venv/demo.installed
	$(BIN)/bonanza demo

test: check quick slow

check: .venv/dev.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

quick: .venv/dev.installed
	$(BIN)/python -m pytest -q -n auto --max-worker-restart 2 -m "not slow"

slow: .venv/dev.installed
	$(BIN)/python -m pytest -q -n 2 --dist loadfile --max-worker-restart 2 -m slow

site: .venv/dev.installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

.venv/%.installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[$*]'
	touch $@

clean:
	rm -rf .venv bonanza-demo
