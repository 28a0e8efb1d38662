# Each target makes .venv and installs when that is needed, and never twice.
PYTHON ?= python3
BIN := .venv/bin

study: .venv/installed
	$(BIN)/avsep study --preset laptop

thesis: study
	$(BIN)/avsep compare
	$(BIN)/avsep study --set seed=1 --only 02 03
	$(BIN)/avsep compare --set seed=1 --only published_optimizer sound_of_pixels semantic
	$(BIN)/avsep study --set seed=1 --only 04
	$(BIN)/avsep study --only 04

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

.PHONY: study thesis smoke server lab test lint html
