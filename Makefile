# Everything needs only git, make, Python 3.10 or newer with venv, and a C compiler.
# What was set up once is not set up again until the files it depends on change.

PYTHON ?= python3
BIN := .venv/bin
SOURCES := pyproject.toml setup.py $(wildcard pipelines/*.py)

.PHONY: help demo test lint types unit wheel-test bench bench-tiny regret growth sheet track tails learnt photographs audio train-demo wheel clean

help:
	@echo "make demo        filter a photograph and look at demo-output/contact-sheet.png"
	@echo "make test        lint, types, the test suite, tiny benchmarks, the wheel"
	@echo "make bench       time faltung against the installed peers"
	@echo "make regret      time every method against the planner's choice"
	@echo "make growth      plot time against kernel size to docs/growth.png"
	@echo "make sheet       filter a photograph with every kernel into docs/kernels.png"
	@echo "make track       plot a smoothed track to docs/track.png"
	@echo "make tails       compute the privacy lost in many releases into docs/tails.png"
	@echo "make photographs time a hundred photographs against a script of OpenCV"
	@echo "make learnt      learn Fashion-MNIST (DATA=folder) and draw the first kernels to docs/learnt.png"
	@echo "make train-demo  learn the digits of scikit-learn in some seconds"
	@echo "make audio       convolve ten minutes of audio with a room, against SciPy"
	@echo "make wheel       build a wheel into dist/"
	@echo "make clean       remove what was built"

demo: .venv/.installed
	@$(BIN)/faltung demo

test: lint types unit bench-tiny wheel-test

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/.dev
	$(BIN)/mypy

unit: .venv/.dev
	$(BIN)/python -m pytest -q -n auto --dist worksteal --durations=10

bench: .venv/.dev
	$(BIN)/python benchmarks/run.py --json build/bench.json

bench-tiny: .venv/.dev
	$(BIN)/python benchmarks/run.py --tiny --json build/bench-tiny.json
	$(BIN)/python benchmarks/regret.py --tiny --json build/regret-tiny.json
	$(BIN)/python benchmarks/distributions.py --tiny --json build/distributions-tiny.json
	$(BIN)/python benchmarks/matching.py --tiny --json build/matching-tiny.json

regret: .venv/.dev
	$(BIN)/python benchmarks/regret.py --json build/regret.json

growth: .venv/.dev
	-$(BIN)/pip install -q --editable '.[plot]'
	$(BIN)/python benchmarks/growth.py

audio: .venv/.dev
	$(BIN)/python benchmarks/audio.py --json build/audio.json

sheet: .venv/.installed
	$(BIN)/python docs/kernels_sheet.py

track: .venv/.installed
	$(BIN)/pip install -q --editable '.[plot]'
	$(BIN)/python docs/track.py

tails: .venv/.installed
	$(BIN)/pip install -q --editable '.[plot]'
	$(BIN)/python docs/tails.py

learnt: .venv/.installed
	$(BIN)/pip install -q --editable '.[plot]' scikit-image
	$(BIN)/python docs/learnt.py $(DATA)

train-demo: .venv/.installed
	-@$(BIN)/pip install -q scikit-learn
	$(BIN)/python docs/digits.py

photographs: .venv/.dev
	$(BIN)/python benchmarks/photographs.py --json build/photographs.json

wheel: .venv/.installed
	@rm -rf dist
	$(BIN)/pip wheel -q --no-deps --wheel-dir dist .

# The wheel as a stranger gets it: in an environment of its own, away from the sources.
wheel-test: wheel
	rm -rf build/wheel-venv && $(PYTHON) -m venv build/wheel-venv
	build/wheel-venv/bin/pip install -q dist/faltung-*.whl
	cd build && wheel-venv/bin/python -c "from faltung import native; assert native.library()"
	cd build && wheel-venv/bin/faltung demo --output wheel-demo > /dev/null
	@ls -lh dist/*.whl

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/.installed: $(SOURCES) | .venv/bin/python
	@echo "setting up .venv and compiling the library: some five minutes on two cores, once"
	$(BIN)/pip install -q --editable .
	@touch $@

# PyTorch is a peer for tests and benchmarks where FALTUNG_TORCH=1 asks for it: whether an index
# serves a small build for the CPU or gigabytes for a GPU is for you to know.
.venv/.dev: $(SOURCES) | .venv/bin/python
	$(BIN)/pip install -q --editable '.[dev]'
	@if [ "$$FALTUNG_TORCH" = 1 ]; then \
	  timeout 600 $(BIN)/pip install -q torch==2.13.0 \
	  || echo "PyTorch could not be installed; the tests that need it are skipped."; fi
	@touch .venv/.installed $@

clean:
	rm -rf build dist .venv demo-output src/*.egg-info src/faltung/_lib
