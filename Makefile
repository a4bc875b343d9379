# Two commands do all the set-up they need: `make demo` and `make test`. `make help` names the others.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PYTHON VENV

.DEFAULT_GOAL := help
.PHONY: help demo test lint unit long bench gates races lock upgrade clean system runtime dev

help: ## Show the targets
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

demo: runtime ## Run the main job here: a good release to 100 %, a bad one back to stable
	@$(BIN)/rollout demo $(ARGS)

test: lint ## Run every check and every test
	$(BIN)/pytest $(ARGS)

lint: dev ## Check style, types, layers and the hooks' own configuration
	$(BIN)/pre-commit validate-config
	$(BIN)/pre-commit run --all-files --show-diff-on-failure

unit: dev ## Run the tests that start no server
	$(BIN)/pytest -m "not real and not long" $(ARGS)

long: dev ## Run the suites that `make test` leaves out: more variants of the targets
	$(BIN)/pytest -m long $(ARGS)

bench: dev ## Measure, and write benchmarks/README.md
	$(BIN)/python -m benchmarks.run $(ARGS)

gates: dev ## Compare the judgement with the rules of others, and write benchmarks/gates (an hour and a half)
	$(BIN)/python -m benchmarks.gates $(ARGS)

races: dev ## Race several processes at one rollout, a thousand orders of steps each (three minutes)
	$(BIN)/python -m tests.engine.races $(or $(ARGS),1000)

lock: dev ## Write requirements/*.txt anew after a change of pyproject.toml
	scripts/lock

upgrade: dev ## Take the newest versions into the locks
	scripts/lock --upgrade

clean: ## Remove what the other targets made
	rm -rf $(VENV) .demo dist tests/github/node_modules tests/report/node_modules .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

system:
	@scripts/system-packages

runtime: system
	@scripts/environment runtime

dev: system
	@scripts/environment dev
	@scripts/npm-packages
