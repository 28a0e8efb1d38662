# Each target makes .venv and installs when that is needed, and never twice.
PYTHON ?= python3
BIN := .venv/bin

study: .venv/installed
	$(BIN)/avsep study --preset laptop

smoke: .venv/installed
	$(BIN)/avsep study --preset smoke

server: .venv/installed
	$(BIN)/avsep study --preset server

lab: .venv/installed
	$(BIN)/jupyter lab notebooks

test: .venv/installed
	$(BIN)/pytest

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/nbstripout --verify --keep-id --extra-keys "metadata.papermill cell.metadata.papermill" notebooks/*.ipynb

html: .venv/installed
	$(BIN)/jupyter nbconvert --to html --output-dir out/html notebooks/*.ipynb

.venv/installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

.PHONY: study smoke server lab test lint html
