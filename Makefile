# `make demo` shows what this package is for; `make test` shows that it holds.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c

sources := $(wildcard Package.swift Sources Recipes Tests integration Examples Benchmarks)
# SwiftPM passes traits to the compiler in the order of a hash table. In another order, everything is compiled again.
stable := SWIFT_DETERMINISTIC_HASHING=1
report := .build/ci
traits := --traits Tracing,Configuration

.PHONY: bootstrap bootstrap-tests demo build-demo install pictures dashboard-pictures test test-unit test-integration \
	build-tests simulate simulate-today build-simulate mutants mutants-today newcomer traits sanitize sanitize-thread \
	sanitize-address lint docs bench bench-peers bench-scale bench-footprint build-bench clean

# Installs the C client's headers and the ZooKeeper server if they are missing.
bootstrap:
	@.ci/bootstrap

# And what the integration tests need beside them: Apache Curator, a Java compiler, kazoo.
bootstrap-tests:
	@.ci/bootstrap --tests

# Processors pause for a task on a real server. Built apart, so that the tests may run meanwhile.
optimized := -c release --scratch-path .build/optimized
demo: build-demo
	swift run $(optimized) zkrecipes-dev demo --fault $(ARGS)

build-demo: bootstrap
	swift build $(optimized) --product zkrecipes-dev

# Installs the command line, stripped and with the Swift libraries inside; `.ci/bootstrap --runtime` installs what else it needs
# on another machine. PROGRAMS="zkrecipes zkrecipes-dev" adds the commands that start servers. Manual pages and
# completions for bash, zsh and fish are installed as well.
static := -c release --static-swift-stdlib --scratch-path .build/static
PREFIX ?= /usr/local
PROGRAMS ?= zkrecipes
install:
	@.ci/bootstrap --build
	for program in $(PROGRAMS); do \
		swift build $(static) --product $$program; \
		install -D -s -m 755 -t $(DESTDIR)$(PREFIX)/bin .build/static/release/$$program; \
		.ci/install-help .build/static/release/$$program .build/static $(DESTDIR)$(PREFIX)/share; \
	done

# Records a pause on a real server, and draws the pictures of README.md and of the articles.
pictures := Recipes/Documentation.docc/Resources
pictures: build-demo
	@mkdir -p .build/pictures
	swift run $(optimized) --skip-build zkrecipes-dev demo --processors 5 --rate 150 --windows 1 --task-duration 150ms \
		--record .build/pictures/pause.jsonl
	.ci/draw-pictures pause .build/pictures/pause.jsonl $(pictures)/pause.svg
	.ci/draw-pictures frozen $(pictures)/frozen-holder.svg

# Takes the pictures of the dashboard in Chromium, from recipes on a real server.
dashboard-pictures: bootstrap-tests build-tests
	ZK_DASHBOARD_PICTURES=$(CURDIR)/$(pictures) \
		swift test $(traits) --skip-build --filter 'DashboardPageTests/.*recipes of each kind'

# Every test, with a line for each suite; the whole logs are in .build/ci. The integration tests run in several processes side
# by side, a suite after the other in each.
test: test-unit test-integration
	@echo "test: everything passed; the logs are $(report)/unit.log and $(report)/integration-*.log"
	@grep -ah 'Test run with' $(report)/unit.log $(report)/integration-*.log
	@cat $(report)/unstable.log 2>/dev/null || true

# With all optional parts; the package that depends on this one builds without them.
build-tests: bootstrap
	$(stable) swift build --build-tests $(traits)

# The simulations compute without a pause, in a process of their own: in one with the other tests these would wait for a thread
# beyond their time limits. The program's tests start commands with deadlines, which must not compete with a thousand tests.
test-unit: build-tests
	@mkdir -p $(report) && rm -f $(report)/unit.log
	for part in '--skip IntegrationTests --skip SimulationTests --skip ProgramTests' '--filter ^ProgramTests\.' \
		'--filter ^SimulationTests\.'; do \
		swift test $(traits) --skip-build --parallel $$part 2>&1 | tee -a $(report)/unit.log \
			| grep --line-buffered -aE '✘|Suite .* passed after|Test run with|error:|Fatal error' \
			|| { echo "test-unit: failed; the log is $(report)/unit.log" >&2; exit 1; }; \
	done

test-integration: bootstrap-tests build-tests
	.ci/test-integration "$$($(stable) swift build --build-tests $(traits) --show-bin-path)/swift-zookeeperPackageTests.xctest"

# The recipes in simulated worlds: SEEDS worlds of each scenario, or of SCENARIO alone, or SEED alone with its trace.
SEEDS ?= 10000
simulate: bootstrap
	swift run -c release simulate --threads $$(nproc) --seeds $(SEEDS) \
		$(if $(SCENARIO),--scenario $(SCENARIO)) $(if $(SEED),--seed $(SEED)) $(ARGS)

# Worlds that nobody has seen: 100 of each scenario, by the date.
simulate-today: build-simulate
	@first=$$(date -u +%Y%m%d)0000; echo "simulate: 100 seeds of each scenario from $$first"; \
	swift run $(optimized) --skip-build simulate --threads $$(nproc) --first $$first --seeds 100

build-simulate: bootstrap
	swift build $(optimized) --product simulate

# Plants each bug of Tests/Mutants in a scratch copy: the simulator must find it.
mutants: bootstrap
	SEEDS=100000 Tests/Mutants/run $(MUTANTS)

# A tenth of them, by the date: of those that were found within 1,000 schedules.
mutants-today: bootstrap
	SEEDS=20000 Tests/Mutants/run $$(Tests/Mutants/today)

# README.md, followed literally in an empty folder: the first program as a package of its own, a server, and the task.
newcomer: bootstrap
	.ci/newcomer

# Each optional part compiles alone.
traits: bootstrap
	swift build --scratch-path .build/traits --target ZooKeeper --traits Tracing
	swift build --scratch-path .build/traits --target ZooKeeper --traits Configuration

sanitize: sanitize-thread sanitize-address

# The unit tests under ThreadSanitizer, but for those that only compute.
sanitize-thread: bootstrap
	TSAN_OPTIONS=suppressions=$(CURDIR)/.ci/tsan-suppressions.txt swift test --scratch-path .build/tsan --sanitize=thread \
		--filter '^(ZooKeeperTests|ZooKeeperRecipesTests|ZooKeeperBridgeTests)\.' \
		--skip '\.(Schedule|TenYears|Cron|Partition|.*Model|.*Oracle|SubtreeStateMachine)[A-Za-z]*Tests/' 2>&1 \
		| grep --line-buffered -aE '✘|WARNING: ThreadSanitizer|SUMMARY|Test run with|error:'

# The tests of the bridge to the C library under AddressSanitizer.
sanitize-address: bootstrap
	ASAN_OPTIONS=detect_leaks=0 \
		swift test --scratch-path .build/asan --sanitize=address --no-parallel --filter 'ZooKeeperBridgeTests|Bridge' 2>&1 \
		| grep --line-buffered -aE '✘|ERROR: AddressSanitizer|SUMMARY|Test run with|error:'

lint:
	swift format lint --strict --recursive $(sources)
	.ci/check-layers
	.ci/check-hazards
	.ci/check-mutants
	.ci/check-readme
	.ci/check-version
	.ci/check-snippets
	.ci/check-metrics
	.ci/check-language

docs: bootstrap
	swift package generate-documentation --target ZooKeeper --warnings-as-errors
	swift package generate-documentation --target ZooKeeperRecipes --warnings-as-errors
	swift package generate-documentation --target ZooKeeperScheduling --warnings-as-errors
	swift package generate-documentation --target ZooKeeperTestKit --warnings-as-errors

# Compares this package with the last run; bench-peers compares it with Curator, kazoo and the C client. ARGS="--help" lists
# the options.
bench: bootstrap build-bench
	Benchmarks/run $(ARGS)

bench-peers: bootstrap-tests build-bench
	Benchmarks/run --peers $(ARGS)

# How times and requests of this package grow with the number of participants and items; takes half an hour.
bench-scale: bootstrap build-bench
	Benchmarks/run --scale $(ARGS)

# The first program of README.md: the time of a cold build, the size, and the time from its start to its first event.
bench-footprint: bootstrap
	Benchmarks/footprint $(ARGS)

build-bench:
	swift build -c release --package-path Benchmarks --product zkbench

clean:
	swift package clean
	rm -rf $(report)
