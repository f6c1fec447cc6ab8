# Every target makes .venv on its first call and reuses it afterwards. Another Python: make setup PYTHON=python3.12
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
UV     := uv==0.13.9
ZENSICAL     := zensical==0.0.73
MKDOCSTRINGS := mkdocstrings-python==2.0.11

.DEFAULT_GOAL := help
.PHONY: help setup demo dashboard test stress bench check format-check lint types audit format constraints site screenshots clean
.DELETE_ON_ERROR:

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/.development ## install everything, development tools included, into .venv

demo: $(VENV)/.runtime ## open the demo: upload an image and see what the model looks at
	$(BIN)/python -m dcal_explorer.demo

dashboard: $(VENV)/.runtime ## open the dashboard
	$(BIN)/streamlit run app/dcal_explorer/dashboard/server.py

check: format-check lint types audit test ## all that CI runs: format, lint, types, audit, tests

format-check: $(VENV)/.development ## is everything formatted?
	$(BIN)/ruff format --check .

lint: $(VENV)/.development ## ruff's rules
	$(BIN)/ruff check .

types: $(VENV)/.development ## mypy
	$(BIN)/mypy

audit: $(VENV)/.development ## known vulnerabilities of what is installed; skipped, by name, where advisories cannot be reached
	$(BIN)/python -m tools.audit

# Bytecode is kept, whatever the environment says: the processes that tests start would compile every module anew.
test: $(VENV)/.development ## the tests; gets a Chromium for those in the browser if there is none, and axe-core where npm can
	@[ -f tests/node_modules/axe-core/axe.min.js ] || npm install --prefix tests --no-package-lock --no-audit --no-fund --silent \
		|| echo "npm cannot get axe-core: the accessibility tests are skipped, and say so." >&2
	CHROME="$$($(BIN)/python tests/fixtures/find_browser.py --get)" && export CHROME && PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

stress: $(VENV)/.development ## kills, full disks, hostile files and a crowd, a Milvus server that is killed, for an hour: the table of docs/robustness.md
	DCAL_STRESS=1 $(BIN)/python -m pytest tests/test_bundled_reid.py
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.stress --write

# TORCHREID=PATH FASTREID=PATH, checkouts with their Cython code built, are ranked against as well (benchmarks).
bench: $(VENV)/.development ## time and memory of an inspection, a training step, a ranking, a gallery (many minutes)
	$(BIN)/python -m benchmarks.inspection
	$(BIN)/python -m benchmarks.training
	$(BIN)/python -m benchmarks.training --options --quick
	$(BIN)/python -m benchmarks.retrieval $(TORCHREID:%=--torchreid %) $(FASTREID:%=--fastreid %)
	$(BIN)/python -m benchmarks.gallery

format: $(VENV)/.development ## format everything and apply the lint rules' safe fixes
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

constraints: $(VENV)/.development ## pin anew all that an installation brings (constraints.txt)
	$(BIN)/python -m uv pip compile --quiet --universal --python-version 3.11 --upgrade --no-header --no-annotate --no-emit-index-url \
		requirements.txt pyproject.toml --extra dev --extra milvus --extra onnx --extra heic --extra mcp --output-file constraints.txt

site: $(VENV)/.development ## the documentation as a site, with the API from the docstrings and the notebooks with their figures, into build/site
	$(BIN)/python -m tools.documents.notebooks
	$(BIN)/python -m uv tool run --from $(ZENSICAL) --with $(MKDOCSTRINGS) zensical build --clean --strict

screenshots: $(VENV)/.development ## every page of both faces on a desktop, a phone and in dark mode, into runs/screenshots
	$(BIN)/python -m tools.screenshots

clean: ## remove caches and build products; .venv, runs and checkpoints stay
	rm -rf build dist ./*.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .gradio
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

# Two stamps, because the apps need no development tools: what has been installed into .venv, and from which lists.
$(VENV)/.runtime: requirements.txt constraints.txt pyproject.toml
	@$(call install,-c constraints.txt -r requirements.txt -e .)
	@touch $@

$(VENV)/.development: requirements.txt constraints.txt pyproject.toml
	@$(call install,-c constraints.txt -r requirements.txt -e ".[dev]")
	@touch $(VENV)/.runtime $@

# install(arguments): .venv if there is none, then by uv (half a minute), or by pip where uv cannot be had (two minutes).
define install
set -e; \
python=$(BIN)/python; [ -x "$$python" ] || python="$(PYTHON)"; \
"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	echo "Python 3.11 or newer is needed; $$python is $$("$$python" --version 2>&1 | tail -n 1)." >&2; \
	echo "Say which one to take, e.g.: make setup PYTHON=python3.12 (and remove $(VENV) if it holds the older one)." >&2; \
	exit 1; }; \
$(BIN)/python -m pip --version >/dev/null 2>&1 || "$(PYTHON)" -m venv $(VENV) || { \
	echo "$(PYTHON) could not make $(VENV); on Debian and Ubuntu: sudo apt-get install python3-venv" >&2; exit 1; }; \
echo "Installing into $(VENV) ..."; \
if $(BIN)/python -m uv --version >/dev/null 2>&1 || $(BIN)/python -m pip install --quiet $(UV); then \
	$(BIN)/python -m uv pip install --compile-bytecode --python $(BIN)/python $(1); \
else \
	echo "uv cannot be installed here; pip does the same, slower." >&2; \
	$(BIN)/python -m pip install $(1); \
fi
endef
