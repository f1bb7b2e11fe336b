# The two commands of the README, and the long suites.
.PHONY: demo test nightly ci fuzz build examples

build:
	CGO_ENABLED=0 go build -trimpath -o bin/clonecloud ./cmd/clonecloud

demo:
	go run ./cmd/clonecloud demo

test:
	go test ./...

ci:
	bash .ci/run

# Long suites: run before resolving an issue that they concern. The script takes
# parts of them by name.
nightly:
	bash scripts/nightly.sh

fuzz:
	FUZZTIME=$${FUZZTIME:-10s} bash scripts/fuzz.sh

examples:
	bash examples/build.sh
