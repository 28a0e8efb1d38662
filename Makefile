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

# The separator that comes with the project, made anew: a bank of free sounds (needs apt-get, npm and a network), and the
# ear that learns on it.
bank: .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[bank]'
	$(BIN)/avsep bank

ear: .venv/installed
	$(BIN)/avsep train-ear

# That separator, scored on a folder of real clips: make real REAL=DIR
real: .venv/installed
	$(BIN)/avsep score-real "$(REAL)"

lab: .venv/installed
	$(BIN)/jupyter lab notebooks

test: .venv/installed
	$(BIN)/pytest

# What people click on, in a real browser: needs Chromium, such as Debian's package chromium.
browser: .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[browser]'
	$(BIN)/pytest tests/browser

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

.PHONY: study thesis smoke server bank ear real lab test browser lint html
