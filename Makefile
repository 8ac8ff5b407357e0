# `make demo` shows what this package is for; `make test` shows that it holds.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c

sources := $(wildcard Package.swift Sources Recipes Tests integration Examples Benchmarks)
report := .build/ci

.PHONY: bootstrap demo test test-unit test-integration build-tests lint docs bench clean

# Installs the C client's headers and the ZooKeeper server if they are missing.
bootstrap:
	@.ci/bootstrap

# Processors pause for a task on a real server.
demo: bootstrap
	swift run -c release zkrecipes demo --fault $(ARGS)

# Every test. The integration tests run one suite after the other: each starts servers of its own.
test: test-unit test-integration

build-tests: bootstrap
	swift build --build-tests

test-unit: build-tests
	@mkdir -p $(report)
	swift test --skip-build --parallel --skip IntegrationTests 2>&1 | tee $(report)/unit.log

test-integration: build-tests
	@mkdir -p $(report)
	@rm -f $(report)/integration*.xml
	swift test --skip-build --no-parallel --filter IntegrationTests --xunit-output $(report)/integration.xml 2>&1 \
		| tee $(report)/integration.log

lint:
	swift format lint --strict --recursive $(sources)
	.ci/check-layers

docs: bootstrap
	swift package generate-documentation --target ZooKeeper --warnings-as-errors
	swift package generate-documentation --target ZooKeeperRecipes --warnings-as-errors
	swift package generate-documentation --target ZooKeeperTestKit --warnings-as-errors

bench: bootstrap
	swift run -c release --package-path Benchmarks $(ARGS)

clean:
	swift package clean
	rm -rf $(report)
