# What people and CI run. `make help` lists it. The first target that needs the environment creates
# it; after that a stamp file makes this cost nothing.

PYTHON ?= python3
# Simulations at a time, in the tests.
JOBS ?= 2
# More arguments for what a target runs: make test ARGS="-k gemm", make bench ARGS="--quick"
ARGS ?=

RUN := .venv/bin/python
VTA := .venv/bin/vta
ENVIRONMENT := .venv/environment.stamp
PYTEST := $(RUN) -m pytest -n $(JOBS) $(ARGS)

.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

.PHONY: sim
sim: $(ENVIRONMENT) ## The main job: TVM-scheduled streams on the core, compared with NumPy
	$(VTA) demo $(ARGS)

.PHONY: test
test: $(ENVIRONMENT) ## The test suite; JUnit in build/test.xml
	$(PYTEST) --junit-xml=build/test.xml

.PHONY: test-vcd
test-vcd: $(ENVIRONMENT) ## What touches waves, as on a machine without the headers of FST; JUnit in build/test-vcd.xml
	VTA_HIDE_PACKAGES="zlib1g-dev liblz4-dev" $(PYTEST) -m waves --junit-xml=build/test-vcd.xml

.PHONY: regress
regress: $(ENVIRONMENT) ## The longer tests: more seeds, configurations, fresh random examples; JUnit in build/regress.xml
	$(PYTEST) -m "regress or hypothesis" --hypothesis-profile=regress --junit-xml=build/regress.xml

.PHONY: lint
lint: $(ENVIRONMENT) ## Lint, format check, types
	@failed=0; \
	for tool in "ruff check ." "ruff format --check ." "basedpyright"; do \
	    echo "$(RUN) -m $$tool"; $(RUN) -m $$tool || failed=1; \
	done; exit $$failed

.PHONY: format
format: $(ENVIRONMENT) ## Format the sources and repair what lint can repair
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

.PHONY: bench-compiler
bench-compiler: $(ENVIRONMENT) ## Linked networks of the compiler, layer by layer
	$(VTA) bench --part compiler $(ARGS)

.PHONY: bench-networks
bench-networks: $(ENVIRONMENT) ## Networks from their files to checked runs; also those of VTA_MODELS=DIR
	$(VTA) bench --part networks $(ARGS)

.PHONY: bench
bench: $(ENVIRONMENT) ## Cycles of the benchmark streams
	$(VTA) bench $(ARGS)

.PHONY: verilog
verilog: $(ENVIRONMENT) ## The core as Verilog
	$(VTA) verilog $(ARGS)

.PHONY: synth
synth: .venv/environment-fpga.stamp ## Area and timing of the core on an FPGA
	$(VTA) synth $(ARGS)

.PHONY: formal
formal: .venv/environment-formal.stamp ## Formal proofs of units of the core
	$(VTA) formal $(ARGS)

.PHONY: environment
environment: $(ENVIRONMENT) ## Only the environment: .venv from requirements.lock
	@echo "environment: ready"

.PHONY: environment-fpga
environment-fpga: .venv/environment-fpga.stamp ## The same with what FPGA synthesis needs
	@echo "environment: ready"

.PHONY: environment-train
environment-train: .venv/environment-train.stamp ## The same with what training the example network needs
	@echo "environment: ready"

.PHONY: environment-formal
environment-formal: .venv/environment-formal.stamp ## The same with what formal proofs need
	@echo "environment: ready"

.PHONY: check
check: ## What this machine lacks, if anything, and which Debian package has it
	@$(PYTHON) -I sim/environment.py check

.PHONY: lock
lock: ## Write the lock files from pyproject.toml
	$(PYTHON) -I sim/environment.py lock

.PHONY: clean
clean: ## Delete everything generated except .venv
	rm -rf build .hypothesis *.egg-info
	find hw sw sim tests -name __pycache__ -prune -exec rm -rf {} +

.PHONY: distclean
distclean: clean ## Delete .venv too
	rm -rf .venv

.PHONY: help
help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Gone or broken, for example because the Python that it was made from is gone: make it again.
ifneq ($(shell test -x .venv/bin/python && echo works),works)
.PHONY: $(ENVIRONMENT)
endif

$(ENVIRONMENT): requirements.lock sim/environment.py
	@$(PYTHON) -I sim/environment.py create

.venv/environment-%.stamp: requirements-%.lock $(ENVIRONMENT)
	@$(PYTHON) -I sim/environment.py create $*
