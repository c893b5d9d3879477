# Everything that is made lies in .build. Go and make are enough for run, test and
# build; check, lint and deploy fetch their pinned tools themselves (see .ci).

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
# The environment of samconfig.toml, and parameters that replace all of its parameters.
CONFIG_ENV ?= default
PARAMETERS ?=
# The architecture of the Lambda artifact: arm64 or amd64.
build-ExporterFunction: GOARCH ?= arm64
# What to benchmark, and how often for benchstat to tell noise from difference.
BENCH ?= .
COUNT ?= 6
FUZZTIME ?= 10s
# The ports of make run: of VictoriaMetrics with its UI, and of the simulated ECR.
PORT ?= 8428
ECR_PORT ?= 8429
# The seeds of make simulate: how many, and the first.
SEEDS ?= 1000
FROM ?= 1

OUT  := .build
VENV := $(OUT)/venv
# Modules nested in this one that hold code of ours.
NESTED := $(patsubst %/go.mod,%,$(wildcard lambda/e2e/go.mod lambda/stack/go.mod .ci/parameters/go.mod .ci/release/go.mod mixin/go.mod))
# The race detector needs a C compiler.
RACE := $(if $(shell command -v $$(go env CC)),-race)

# One set of flags for all programs, so that the standard library is compiled once.
GOBUILD := CGO_ENABLED=0 go build -trimpath -tags lambda.norpc -ldflags '-s -w -X main.version=$(VERSION)'

export SAM_CLI_TELEMETRY ?= 0

.PHONY: help
help: ## this help
	@echo "make TARGET, where TARGET is"
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: $(OUT)/ecr-remote-write $(OUT)/victoria-metrics $(OUT)/simulate ## the function, a simulated registry and a store with dashboards; PORT=8428 ECR_PORT=8429 ONCE=1
	@echo "building the simulated registry"
	@$(GOBUILD) -o $(OUT)/local ./lambda/local
	@exec $(OUT)/local -bootstrap $(OUT)/ecr-remote-write -victoriametrics $(OUT)/victoria-metrics -hour $(OUT)/simulate -port $(PORT) -ecr-port $(ECR_PORT) $(if $(ONCE),-once)

# Chromium or a browser like it: CHROMIUM=FILE. The pictures are committed.
CHROMIUM ?= $(or $(shell command -v chromium || command -v chromium-browser || command -v google-chrome),chromium)
.PHONY: pictures
pictures: $(OUT)/ecr-remote-write $(OUT)/victoria-metrics $(OUT)/simulate ## pictures of the dashboards for docs, in headless Chromium; CHROMIUM=FILE
	@$(GOBUILD) -o $(OUT)/local ./lambda/local
	@exec $(OUT)/local -bootstrap $(OUT)/ecr-remote-write -victoriametrics $(OUT)/victoria-metrics -hour $(OUT)/simulate -pictures docs/pictures -chromium '$(CHROMIUM)'

# The nested modules' tests run the built program, which the cache of go test does not
# know of, so they run each time. One of them searches what all other tests printed for
# secrets. On the terminal is a line for each package, and all of one that failed.
.PHONY: test
test: export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
test: ## all tests, with the race detector
	@echo "testing the packages, $(if $(RACE),with,without a C compiler and so without) the race detector: compiling takes minutes the first time"
	@mkdir -p $(OUT); rm -f $(OUT)/test.failed; \
	{ LOG_LEVEL=DEBUG go test $(RACE) -timeout 30m -v ./... 2>&1 || touch $(OUT)/test.failed; } | tee $(OUT)/test.txt | awk "$$SUMMARY"; \
	for module in $(NESTED); do \
		echo "testing $$module"; \
		TEST_OUTPUT=$(CURDIR)/$(OUT)/test.txt go test -C $$module $(RACE) -count 1 -timeout 30m ./... || touch $(OUT)/test.failed; \
	done; \
	test ! -e $(OUT)/test.failed

# Turns the output of go test -v into that without -v.
define SUMMARY
/^=== (RUN|PAUSE|CONT|NAME)|^ *--- (PASS|SKIP)/ { next }
/^(ok  |\?   )\t/ { print; text = ""; next }
/^FAIL\t/ { printf "%s%s\n", text, $$0; text = ""; next }
{ text = text $$0 "\n" }
END { printf "%s", text }
endef
export SUMMARY

.PHONY: check
check: SEEDS := 200
check: $(VENV) $(OUT)/ministack test simulate lint vulnerabilities generated rules template ## most of what CI runs: test, 200 storms, lint, known vulnerabilities, generated files, rules, template

# What failing seeds did is in .build/simulate.txt, and of a single seed also on the terminal.
.PHONY: simulate
simulate: $(OUT)/simulate ## storms in virtual time, see docs/simulation.md; SEEDS=1000 FROM=1
	@cd lambda && SIMULATE_SEEDS=$(SEEDS) SIMULATE_FROM=$(FROM) SIMULATE_TRACE=$(filter 1,$(SEEDS)) \
		../$(OUT)/simulate -test.run '^TestSimulate$$' -test.timeout 1h -test.v >../$(OUT)/simulate.txt; \
	code=$$?; $(if $(filter 1,$(SEEDS)),cat ../$(OUT)/simulate.txt;) exit $$code

.PHONY: month
month: DAYS = 1
month: IMAGES = 10000
month: ## a month's bill counted on the wire, in virtual time, beside the forecast; IMAGES=10000 DAYS=1
	MONTH_IMAGES=$(IMAGES) MONTH_DAYS=$(DAYS) go test ./lambda -run '^TestMonth$$' -count 1 -timeout 3h -v

# The tests of the function, which run it in virtual time: for make simulate, and for the
# past hour of make run.
.PHONY: $(OUT)/simulate
$(OUT)/simulate:
	@echo "building $@"
	@mkdir -p $(OUT); go test -c -o $@ ./lambda

.PHONY: undone
undone: ## does the simulation find each rule that a patch undoes? takes minutes
	SIMULATE_UNDONE=1 go test ./lambda -run '^TestSimulateUndone$$' -count 1 -timeout 1h -v

# The built program, over real connections. What failing storms did is in .build/storms.txt.
.PHONY: storms
storms: COUNT = 60
storms: export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
storms: $(VENV) ## storms of the built program with kill -9, see docs/simulation.md; COUNT=60 FROM=1
	@go test -C lambda/e2e -c -o $(CURDIR)/$(OUT)/storms .
	@cd lambda/e2e && E2E_STORMS=$(COUNT) E2E_STORMS_FROM=$(FROM) ../../$(OUT)/storms -test.run '^TestStorms$$' -test.timeout 1h -test.v >../../$(OUT)/storms.txt || \
		{ sed -n '/storm.*_test.go:/,/replay:/p' ../../$(OUT)/storms.txt; exit 1; }

.PHONY: organisation
organisation: export PATH := $(CURDIR)/$(OUT)/ministack/bin:$(PATH)
organisation: $(OUT)/ministack ## 200 registries of 50 accounts end to end, in 13 minutes: see docs/simulation.md
	@E2E_ORGANISATION=1 go test -C lambda/e2e -run '^TestWholeOrganisation$$' -count 1 -timeout 1h -v .

.PHONY: hour
hour: ACCOUNTS = 500
hour: TAGGED = 100
hour: WORKERS = 50
hour: ## an hour of an organisation with outages, in virtual time, see docs/simulation.md; ACCOUNTS=500 TAGGED=100 WORKERS=50
	ORGANISATION_ACCOUNTS=$(ACCOUNTS) ORGANISATION_IMAGES=$(TAGGED) ORGANISATION_CONCURRENCY=$(WORKERS) \
		go test ./lambda -run '^TestOrganisationHour$$' -count 1 -timeout 3h -v

.PHONY: build
build: $(OUT)/ecr-remote-write build-ExporterFunction ## the program for this machine, and for Lambda; GOARCH=arm64

.PHONY: $(OUT)/ecr-remote-write
$(OUT)/ecr-remote-write:
	@echo "building $@ for this machine (the first time a minute or so)"
	@GOARCH= $(GOBUILD) -o $@ ./lambda

# Named by the SAM CLI, which sets ARTIFACTS_DIR.
.PHONY: build-ExporterFunction
build-ExporterFunction: ARTIFACTS_DIR ?= $(OUT)/lambda
build-ExporterFunction:
	GOOS=linux GOARCH=$(GOARCH) $(GOBUILD) -o $(ARTIFACTS_DIR)/bootstrap ./lambda

# RELEASE_KEY is a private key in PEM, Ed25519 or ECDSA: without one nothing is signed.
.PHONY: release
release: ## the files of a release in .build/release, the same bytes each time: see docs/releases.md; RELEASE_KEY=FILE
	@rm -rf $(OUT)/release
	@go run -C .ci/release . -source $(CURDIR) -output $(CURDIR)/$(OUT)/release -version '$(VERSION)' $(if $(RELEASE_KEY),-key '$(abspath $(RELEASE_KEY))')

$(OUT)/victoria-metrics: $(wildcard lambda/local/victoriametrics/go.*)
	@echo "building VictoriaMetrics: once, for a minute or so"
	@cd lambda/local/victoriametrics && $(GOBUILD) -o $(CURDIR)/$@ github.com/VictoriaMetrics/VictoriaMetrics/app/victoria-metrics
	@touch $@

.PHONY: bench
bench: SHELL := bash
bench: .SHELLFLAGS := -o pipefail -c
bench: $(OUT)/bin/benchstat ## all benchmarks; BENCH=PATTERN COUNT=6
	go test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) ./... | tee $(OUT)/bench.txt
	$(OUT)/bin/benchstat -col /path $(OUT)/bench.txt

# On a busy machine Go 1.26 reports the end of FUZZTIME as a failure of the target: such a
# target runs once more (https://go.dev/issue/75804).
.PHONY: fuzz
fuzz: SHELL := bash
fuzz: .SHELLFLAGS := -o pipefail -c
fuzz: ## every fuzz target for a moment, then those that failed; FUZZTIME=10s
	@mkdir -p $(OUT); failed=; \
	for package in $$(go list ./...); do \
		targets=$$(go test -list '^Fuzz' $$package) || failed+=" $$package"; \
		for target in $$(grep '^Fuzz' <<<"$$targets"); do \
			run() { go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package 2>&1 | tee $(OUT)/fuzz.txt; }; \
			run || { grep -q '^ *context deadline exceeded$$' $(OUT)/fuzz.txt && run; } || failed+=" $$package:$$target"; \
		done; \
	done; \
	test -z "$$failed" || { printf 'failed:\n'; printf '  %s\n' $$failed; exit 1; }

# The packages whose tests write what they compare with, when told to.
WRITERS = $(strip $(addprefix ./,$(sort $(dir $(shell grep -rls --include='*_test.go' 'flag.*"update"' lambda/*_test.go pkg)))))

.PHONY: golden
golden: ## write the golden files anew
	$(if $(WRITERS),go test $(WRITERS) -run Golden -update)

.PHONY: docs
docs: ## write the generated parts of README.md, docs/ and template.yaml anew
	go test ./lambda -run '^TestDocs$$' -update
	@go test -C .ci/release -run '^TestDocs$$' -update

.PHONY: mixin
mixin: ## write the dashboards, rules and tests of mixin, and the queries of README.md and docs/, anew
	@go run -C mixin .

.PHONY: rules
rules: $(OUT)/bin/promtool ## promtool: check the rules of mixin/rules, and run mixin/tests
	$< check rules --lint=all --lint-fatal mixin/rules/*.yaml
	$< test rules mixin/tests/*.yaml

# A tree may have changes of its own: only what writing anew changes is a fault.
.PHONY: generated
generated: ## are golden files and docs up to date?
	@before="$$(git status --porcelain; git diff HEAD)"; \
	$(MAKE) --no-print-directory docs golden mixin && \
	if test "$$before" != "$$(git status --porcelain; git diff HEAD)"; then \
		git status --short; echo "generated files were out of date: commit what 'make docs golden mixin' changes" >&2; exit 1; \
	fi

.PHONY: lint
lint: $(OUT)/bin/golangci-lint $(OUT)/bin/deadcode ## golangci-lint, as .golangci.yml says, and no code that only tests reach
	@unreachable="$$($(OUT)/bin/deadcode ./lambda)"; test -z "$$unreachable" || { echo "$$unreachable"; exit 1; }
	@for module in . $(NESTED); do \
		(cd $$module && $(CURDIR)/$< run --allow-parallel-runners --config $(CURDIR)/.golangci.yml ./...) || failed=1; \
	done; test -z "$$failed"

# Not reaching the database (VULNDB: of another address, also file:///DIR) is no fault: then
# nothing is known. What govulncheck finds ends with 3, and what it cannot do with 1.
VULNDB ?=
.PHONY: vulnerabilities
vulnerabilities: $(OUT)/bin/govulncheck ## govulncheck: is a known vulnerability linked? skipped if its database cannot be reached; VULNDB=URL
	@timeout 300 $< $(if $(VULNDB),-db '$(VULNDB)') -tags lambda.norpc ./lambda >$(OUT)/vulnerabilities.txt 2>&1; code=$$?; \
	if test $$code = 124 || { test -z '$(VULNDB)' && grep -q '^govulncheck: fetching vulnerabilities: ' $(OUT)/vulnerabilities.txt; }; then \
		echo "SKIPPED: known vulnerabilities were not looked for, since the database cannot be reached:"; code=0; \
	fi; \
	cat $(OUT)/vulnerabilities.txt; exit $$code

# The tools that .ci/tools pins.
TOOLS := $(addprefix $(OUT)/bin/,golangci-lint benchstat deadcode govulncheck promtool)
$(TOOLS) &: $(wildcard .ci/tools/go.*)
	@mkdir -p $(OUT)/bin
	go build -C .ci/tools -o $(CURDIR)/$(OUT)/bin/ tool
	@touch $(TOOLS)

# sam validate logs the whole template: shown only when it finds something.
.PHONY: template
template: export AWS_DEFAULT_REGION ?= us-east-1
template: $(VENV) ## template.yaml: cfn-lint, sam validate, sam build; cfn-lint of deploy
	$(VENV)/bin/cfn-lint template.yaml deploy/*.yaml --regions us-east-1 ap-southeast-5 us-gov-west-1 cn-north-1 cn-northwest-1
	$(VENV)/bin/sam validate --lint >$(OUT)/sam-validate.log 2>&1 || { cat $(OUT)/sam-validate.log; exit 1; }
	VERSION='$(VERSION)' $(VENV)/bin/sam build --build-dir $(OUT)/aws-sam/build

# Every parameter is sent, those that are left out with their defaults: CloudFormation would
# keep their previous values. Wrong ones are reported before anything is built.
SAM ?= $(VENV)/bin/sam
SENT := $(OUT)/parameters.yaml
.PHONY: deploy
deploy: export override PARAMETERS := $(value PARAMETERS)
deploy: $(OUT)/bin/parameters $(OUT)/ecr-remote-write $(if $(filter $(VENV)/%,$(SAM)),$(VENV)) ## sam build and sam deploy; CONFIG_ENV=default PARAMETERS="WorkspaceId=ws-..."
	@$< -env $(CONFIG_ENV) -output $(SENT)
	GOARCH=$$(sed -n 's/^Architecture: arm64/arm64/p; s/^Architecture: x86_64/amd64/p' $(SENT)) $(SAM) build --config-env $(CONFIG_ENV) --build-dir $(OUT)/aws-sam/build
	$(SAM) deploy --config-file $(CURDIR)/samconfig.toml --config-env $(CONFIG_ENV) --template-file $(OUT)/aws-sam/build/template.yaml --parameter-overrides file://$(CURDIR)/$(SENT)
	-@$(OUT)/ecr-remote-write -cost -brief

$(OUT)/bin/parameters: $(wildcard .ci/parameters/*.go .ci/parameters/go.*)
	@GOARCH= go build -C .ci/parameters -o $(CURDIR)/$@ .

.PHONY: undeploy
undeploy: $(VENV) ## delete the stack; DELETE_STATE=1 also its state bucket, YES=1 without asking
	@$(VENV)/bin/python .ci/undeploy.py --sam '$(SAM)' --config-env $(CONFIG_ENV) $(if $(YES),--yes) $(if $(DELETE_STATE),--delete-state)

# BREAK=policy, mapping or state breaks the stack on purpose, to see that it is found.
.PHONY: stack
stack: ## the template deployed to an AWS emulator, checked and deleted; KEEP=1 leaves it running
	@echo "preparing the tools: minutes the first time"
	@$(MAKE) -s --no-print-directory -j3 $(VENV) $(OUT)/ministack $(OUT)/victoria-metrics $(OUT)/ecr-remote-write $(OUT)/stack-checks
	@exec $(OUT)/stack-checks $(if $(KEEP),-keep) $(if $(BREAK),-break $(BREAK))

.PHONY: $(OUT)/stack-checks
$(OUT)/stack-checks:
	@echo "building the program that deploys and checks"
	@cd lambda/stack && $(GOBUILD) -o $(CURDIR)/$@ .

$(OUT)/ministack: .ci/ministack.txt
	python3 -m venv --clear $@
	$@/bin/pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

$(VENV): .ci/requirements.txt
	python3 -m venv --clear $@
	$@/bin/pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

.PHONY: clean
clean: ## remove what was made
	rm -rf $(OUT) .aws-sam
