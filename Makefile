# The two commands of the README are `make demo` and `make test`. Everything else serves them.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check -q
DEMO   ?= demo
DATA   ?= $(DEMO)/heads
MINUTES ?= 4

.PHONY: demo test check stories docs bench clean

# torch comes first and pinned, so that the CPU build is taken where it is offered and nothing pulls another.
$(BIN)/.core: pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) not found: install Python 3.11 or newer"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -c constraints.txt torch==2.13.0
	$(PIP) install -c constraints.txt -e ".[dicom,tiff]"
	touch $@

$(BIN)/.dev: $(BIN)/.core
	$(PIP) install -c constraints.txt -e ".[dicom,tiff,track,export,cluster,dev]"
	touch $@

$(DEMO)/heads:
	$(BIN)/delineate phantoms $@ --cases 30 --seed 7

demo: $(BIN)/.core  ## environment, cohort, training, evaluation, report (DATA=folder for your own scans)
	@if [ ! -e "$(DATA)" ]; then $(MAKE) --no-print-directory $(DEMO)/heads; fi
	$(BIN)/delineate run "$(DATA)" "$(DEMO)/run" --minutes $(MINUTES)
	@echo "The report:  $(DEMO)/run/report.html"
	@echo "The model:   $(DEMO)/run/model   (delineate segment $(DEMO)/run/model SCAN... -o OUT)"

check: $(BIN)/.dev  ## lint, format, types
	$(BIN)/ruff check src tests benchmarks docs
	$(BIN)/ruff format --check src tests benchmarks docs README.md
	$(BIN)/mypy

# One thread per worker: two test processes with two threads each would fight over two cores.
test: check  ## environment, lint, types, and the quick tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadscope --timeout 300 -m "not slow"

stories: $(BIN)/.dev  ## the long tests: whole runs, kills, real data where it is there
	$(BIN)/python -m pytest -q --timeout 900 -m slow

docs: $(BIN)/.dev  ## the documentation as a site in site/
	$(BIN)/python docs/reference/command_line.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict -q

bench: $(BIN)/.dev  ## side by side with nnU-Net on Task04_Hippocampus: make bench DATA=folder
	@test -f "$(DATA)/dataset.json" || { echo "make bench DATA=Task04_Hippocampus, of the Medical Segmentation Decathlon"; exit 1; }
	test -x benchmarks/.peer/bin/python || benchmarks/peer.sh
	$(BIN)/python -m benchmarks startup --peer benchmarks/.peer/bin/python
	$(BIN)/python -m benchmarks hippocampus "$(DATA)" benchmarks/work --peer benchmarks/.peer/bin/python
	$(BIN)/python -m benchmarks preparation benchmarks/work --peer benchmarks/.peer/bin/python
	$(BIN)/python -m benchmarks predict benchmarks/work --peer benchmarks/.peer/bin/python

clean:  ## everything that make made, except the environment
	rm -rf $(DEMO) site build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
