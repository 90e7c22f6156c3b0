# SPDX-License-Identifier: GPL-3.0-or-later
# Three commands: make scan, make test, make test-fast. Everything they set up is in .cache; make help lists the rest.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

CACHE := .cache
VENV := $(CACHE)/venv
VENV_TEST := $(CACHE)/venv-test
VENV_BENCH := $(CACHE)/venv-bench
VENV_GATES := $(CACHE)/venv-gates
VENV_COLLECTIONS := $(CACHE)/venv-collections
COLLECTIONS := $(CACHE)/collections
FLEET := $(VENV_TEST)/bin/python -m tests.fleet

# INVENTORY and LIMIT are empty by default: this machine alone, without SSH.
INVENTORY ?=
LIMIT ?=
WINDOW ?= 20
RESULTS ?= ksysak-results
PREPARE ?= yes

# The shipped files: what git knows or would add (and that is still there). The list itself is a dependency too,
# so that a removed file makes a new build.
SHIPPED := galaxy.yml README.md CHANGELOG.md CODE_OF_CONDUCT.md CONTRIBUTING.md COPYING LICENSES changelogs docs kmods meta playbooks plugins roles
SOURCES := $(wildcard $(shell git -c safe.directory=$(CURDIR) ls-files --cached --others --exclude-standard -- $(SHIPPED)))

.PHONY: help scan probes build bench test test-fast test-fleet lane-0 lane-1 lane-2 lint unit integration browser fleet fleet-down fleet-clean test-needs matrix docsite clean FORCE

help: ## this list
	@echo "make scan [INVENTORY=hosts.ini] [LIMIT=web] [WINDOW=20] [RESULTS=ksysak-results] [PREPARE=yes|no]"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

scan: build ## scan the inventory (default: this machine) and write the report
	@ANSIBLE_COLLECTIONS_PATH=$(CURDIR)/$(COLLECTIONS) exec $(VENV)/bin/python tools/scan --ansible-playbook $(VENV)/bin/ansible-playbook \
		--window '$(WINDOW)' --results '$(RESULTS)' \
		$(if $(INVENTORY),--inventory '$(INVENTORY)') $(if $(LIMIT),--limit '$(LIMIT)') \
		$(if $(filter no false 0,$(PREPARE)),--no-prepare,--prepare)

probes: $(VENV_TEST)/.made ## write the lists of probes, of their fields and of what hosts can lack, from the registry, the schemas and the code
	@tools/probes
	@$(VENV_TEST)/bin/python tools/fields.py
	@$(VENV_TEST)/bin/python tools/messages.py

build: $(COLLECTIONS)/.built ## build the collection and install it into .cache/collections

bench: build test-needs $(VENV_BENCH)/.made ## what the probes cost others, and what a report costs (root; a quiet machine)
	$(VENV_TEST)/bin/python tests/bench/cost.py 5
	$(VENV_TEST)/bin/python tests/bench/report.py --cmdb $(VENV_BENCH)/bin

# What measures this machine has its CPUs to itself. A virtual machine is one thread: then two lanes of about the same length.
UNMEASURED := $(addprefix tests/integration/test_,publish.py awx.py awx_setup.py)
test: build test-needs ## set up what tests need and run all of them
	@failed=0; $(MAKE) --no-print-directory lane-0 || failed=1; \
		$(MAKE) --no-print-directory --keep-going --jobs=2 lane-1 lane-2 || failed=1; \
		if [ $$failed = 1 ]; then $(SAY_FAILED); exit 1; fi

lane-0:
	@$(VENV_TEST)/bin/python -m pytest -v tests/integration $(addprefix --ignore=,$(UNMEASURED)) 2>&1 | tee $(CACHE)/lane-0.log

# Its output is shown when it has ended: that of two lanes at once would be hard to read.
lane-1:
	@$(VENV_TEST)/bin/python -m pytest -v tests/gates tests/unit tests/browser $(UNMEASURED) tests/fleet/test_selftest.py >$(CACHE)/lane-1.log 2>&1 \
		|| failed=$$?; cat $(CACHE)/lane-1.log; exit $${failed:-0}

lane-2:
	@$(VENV_TEST)/bin/python -m pytest -v tests/fleet --ignore=tests/fleet/test_selftest.py 2>&1 | tee $(CACHE)/lane-2.log

# What failed in any lane, at the end of all output: thousands of lines may stand behind it.
SAY_FAILED = echo 'Failed:'; grep -hE '^(FAILED|ERROR|E  ) ' $(CACHE)/lane-[0-2].log | cut -c 1-400 | tail -n 60

test-fast: build test-needs ## the tests that need neither root nor a machine: gates, unit, browser
	$(VENV_TEST)/bin/python -m pytest tests/gates tests/unit tests/browser

test-fleet: build test-needs ## the tests on virtual machines, on all of them (make test: on Debian 12)
	MACHINES='$(or $(MACHINES),all)' $(VENV_TEST)/bin/python -m pytest -v tests/fleet

lint: build test-needs ## the quality gates alone
	$(VENV_TEST)/bin/python -m pytest -v tests/gates

unit: $(VENV_TEST)/.made ## the unit tests alone
	$(VENV_TEST)/bin/python -m pytest tests/unit

integration: build test-needs ## the tests with real probes alone (root)
	$(VENV_TEST)/bin/python -m pytest -v tests/integration

browser: build test-needs ## the tests of the report in Chromium alone
	$(VENV_TEST)/bin/python -m pytest -v tests/browser

fleet: test-needs ## start all virtual machines and write an inventory of them
	@$(FLEET) up

fleet-down: $(VENV_TEST)/.made ## end them
	@$(FLEET) down

fleet-clean: $(VENV_TEST)/.made ## end them and remove their images
	@$(FLEET) clean

matrix: build $(VENV_TEST)/.made ## the unit tests and a small scan with every release of ansible-core since the oldest (ONLY='2.16 2.21', TESTS=tests/unit/usage: some; SANITY=yes: its sanity tests too)
	@$(VENV_TEST)/bin/python tools/matrix.py --collections $(COLLECTIONS) $(if $(ONLY),--only $(ONLY)) $(if $(TESTS),--tests $(TESTS)) $(if $(SANITY),--sanity)

docsite: build $(VENV_GATES)/.made ## the documentation as a web site, in .cache/docsite/html
	@tools/docsite/build $(VENV_GATES)/bin $(COLLECTIONS) $(CACHE)/docsite

clean: ## remove all that was set up (results of scans stay)
	-@[ ! -d $(CACHE)/fleet ] || $(FLEET) down
	rm -rf $(CACHE)

test-needs: $(VENV_TEST)/.made $(VENV_GATES)/.made $(VENV_COLLECTIONS)/.made $(CACHE)/ansible-core-oldest/.made $(CACHE)/node/.made
	@tools/packages $(VENV_TEST)/bin/bindep test

$(VENV)/.made: requirements.txt constraints.txt tools/venv
	@mkdir -p $(CACHE)
	@flock $(CACHE)/lock tools/venv $(VENV) requirements.txt
	@touch $@

$(VENV_TEST)/.made: requirements-test.txt requirements.txt constraints.txt tools/venv
	@mkdir -p $(CACHE)
	@flock $(CACHE)/lock tools/venv $(VENV_TEST) requirements-test.txt
	@touch $@

$(VENV_BENCH)/.made: tests/bench/requirements.txt tools/venv
	@mkdir -p $(CACHE)
	@flock $(CACHE)/lock tools/venv $(VENV_BENCH) tests/bench/requirements.txt
	@touch $@

$(VENV_GATES)/.made: tests/gates/requirements.txt tests/gates/constraints.txt tools/venv
	@mkdir -p $(CACHE)
	@flock $(CACHE)/lock tools/venv $(VENV_GATES) tests/gates/requirements.txt
	@touch $@

# Collections and servers that the tests of ksysak_publish and awx_setup need: large, and nothing else needs them.
$(VENV_COLLECTIONS)/.made: tests/integration/requirements-collections.txt requirements.txt constraints.txt tools/venv
	@mkdir -p $(CACHE)
	@flock $(CACHE)/lock tools/venv $(VENV_COLLECTIONS) tests/integration/requirements-collections.txt
	@touch $@

$(CACHE)/ansible-core-oldest/.made: requirements-oldest.txt $(VENV_TEST)/.made
	@rm -rf $(@D)
	@$(VENV_TEST)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --target $(@D) -r requirements-oldest.txt
	@touch $@

# Linter, formatter and a page for tests of the report's scripts. Node itself comes from the system's packages where there is none.
$(CACHE)/node/.made: tests/js/package.json tests/js/package-lock.json tests/js/.npmrc $(VENV_TEST)/.made
	@command -v npm >/dev/null || tools/packages $(VENV_TEST)/bin/bindep scripts
	@rm -rf $(@D) && mkdir -p $(@D) && cp tests/js/package.json tests/js/package-lock.json tests/js/.npmrc $(@D)
	@cd $(@D) && npm ci --silent --ignore-scripts
	@touch $@

$(CACHE)/sources: FORCE
	@mkdir -p $(CACHE)
	@printf '%s\n' $(SOURCES) | cmp -s - $@ || printf '%s\n' $(SOURCES) > $@

# Installed beside the old one and then put in its place: a scan never meets half a collection.
$(COLLECTIONS)/.built: $(VENV)/.made $(CACHE)/sources $(SOURCES)
	@echo "Building and installing the collection ..."
	@flock $(CACHE)/lock tools/build $(VENV)/bin/ansible-galaxy $(COLLECTIONS)
	@touch $@
