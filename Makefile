# Everything needs Python 3.10 to 3.13 and make, and nothing else. PYTHON=/path/to/python chooses
# another one; ARGS="..." is handed to the page or to pytest. Tests run side by side, one more than
# there are cores, as many wait for a page; threads of one process that wait for each other must not
# keep another's from the core.

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?=
ARGS ?=
BENCH := .bench
COUNT := import os; print(min(4, 1 + (os.cpu_count() or 1)))

.PHONY: app test lint bench checkpoints space-check clean
.DELETE_ON_ERROR:

app: $(VENV)/app.installed
	@$(BIN)/python app.py $(ARGS)

test: $(VENV)/dev.installed
	@OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -n $$($(BIN)/python -c "$(COUNT)") --dist loadfile $(ARGS)

lint: $(VENV)/dev.installed
	@$(BIN)/python -m ruff check .
	@$(BIN)/python -m ruff format --check .
	@$(BIN)/python -m mypy

bench: $(VENV)/dev.installed $(BENCH)/d2l
	@$(BIN)/python -m bench.compare --d2l $(BENCH)/d2l $(ARGS)

checkpoints: $(VENV)/app.installed
	@PYTHON=$(BIN)/python checkpoints/rebuild.sh

space-check: $(VENV)/app.installed
	@$(BIN)/python -m bert_demo.ui.space_check

clean:
	rm -rf $(VENV) $(BENCH) .mypy_cache .pytest_cache .ruff_cache .hypothesis

# A shim of a version manager can be on the PATH and still not run, so each candidate is tried.
define choose_python
is_supported() { "$$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1; }; \
chosen='$(PYTHON)'; \
if [ -n "$$chosen" ]; then \
  is_supported "$$chosen" || { echo "PYTHON is $$chosen; it must be a working Python 3.10, 3.11, 3.12 or 3.13." >&2; exit 1; }; \
else \
  for candidate in python3 python3.13 python3.12 python3.11 python3.10 python; do \
    if is_supported "$$candidate"; then chosen=$$candidate; break; fi; \
  done; \
  [ -n "$$chosen" ] || { echo "No Python 3.10, 3.11, 3.12 or 3.13 was found; install one, or name it: make PYTHON=/path/to/python app" >&2; exit 1; }; \
fi
endef

# A stamp holds the contents it was installed from: a file whose date alone changed, as after a
# checkout, installs nothing and so needs no network.
define install
@if ! cat $^ 2>/dev/null | cmp -s - $@; then \
  set -e; \
  $(BIN)/python -m pip --version >/dev/null 2>&1 || { \
    $(choose_python); \
    echo "Setting up $(VENV) with $$chosen"; \
    "$$chosen" -m venv --clear $(VENV); }; \
  echo "Installing what $< names (once; this can take minutes)"; \
  $(BIN)/python -m pip install --disable-pip-version-check -r $< -c constraints.txt; \
  cat $^ > $@; \
fi; touch $@
endef

$(VENV)/app.installed: requirements.txt constraints.txt
	$(install)

$(VENV)/dev.installed: requirements-dev.txt requirements.txt constraints.txt
	$(install)

# The book's package asks for old versions of half of scientific Python; none of them is used here.
$(BENCH)/d2l: $(VENV)/dev.installed
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --target $@ d2l==1.0.3
	@touch $@
