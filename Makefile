# make              bin/culvert with the built-in plugins, and bin/plugins/*.wasm
# make demo         try it: embedded broker, demo OData service, connectors both ways; ONCE=1 ends when all data has arrived,
#                   PORT=n is the console's port
# make dist         release files in dist/: archives for Linux, macOS and Windows, deb, rpm, checksums, bills of materials, licences.
#                   Builds everything twice and compares. TARGETS=own builds for this platform only; ANEW=1 ignores the build cache the second time
# make image        the container image for amd64 and arm64 in dist/image, an OCI layout, without Docker
# make test         all tests that need only Go
# make lint         staticcheck, habits of writing (cmd/lint), and functions that are never called
# make test-real    tests against other software: Apache Kafka, SAP CAP, Apache Olingo, plugins in Rust, C and JavaScript, Chromium; downloads them
# make test-live    reads a system of yours and writes 5 rows to it. Variables: CULVERT_LIVE_CONNECTION and CULVERT_LIVE_CLOUD_CONNECTOR
#                   (files with sap.odata.host.*, user and, in the second one, sap.odata.proxy.*), CULVERT_LIVE_SERVICE (path),
#                   CULVERT_LIVE_SET, _DELTA_SET (with change tracking) and _WRITE_SET (of the type of SET; its rows may be overwritten)
# make bench        measures, and writes the figures to BENCHMARKS.md; BRIEF=1 only checks that each benchmark runs
# make bench-peers  compares Kafka's own transforms and converters, and Apache Olingo's reading of pages, on a warm JVM, with ours
#                   (needs Java and Maven)
# make console-shots  pictures of every page of the console in .shots/, light and dark, wide and narrow; ONLY=name,name takes some
# make fuzz         fuzz targets, FUZZTIME each (default 30s)
# make storm        500 changes of connector files in a minute, under load
# make soak         long runs of the crash, group (Apache Kafka) and reload tests, memory of 50 connectors, and the fuzz targets inside the types
#                   (values, schemas, rows, offsets, declarations) for SOAKTIME each (default 10m; an hour for the six)
# make oracle       generates testdata/abi with wasm-tools and wit-bindgen (needs cargo), and cases of converters and transforms with Kafka's own
#                   classes (needs Java and Maven)
# make oracle-fuzz  CASES (default 100000) random chains and CASES random transforms through Kafka's classes and ours; SEED=n repeats a run
GO       ?= go
TAGS     ?=
# All builds use the flags of a release, so tests and programs share compiled packages.
export GOFLAGS := $(filter-out -trimpath,$(GOFLAGS)) -trimpath
export CGO_ENABLED := $(if $(filter pkcs11,$(TAGS)),1,0)
FUZZTIME ?= 30s
SOAKTIME ?= 10m
ROWS     ?=
PORT     ?=
CASES    ?= 100000
SEED     ?= $(shell date +%s)
GUESTS   := odata-source odata-sink smt
WASM     := $(GUESTS:%=bin/plugins/%.wasm)
EMBED    := cmd/culvert/plugins
PROGRAM  ?= bin/culvert
# Packages with tests against other software; only these are built for them.
REAL      = $(sort $(patsubst %/,./%,$(dir $(shell grep -rlE '^//go:build real' --include='*_test.go' cmd host internal plugins))))
VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

.PHONY: all kernels guests program dist image demo test lint test-real test-live bench bench-peers console-shots fuzz storm soak oracle oracle-fuzz screenshot clean FORCE
all: bin/culvert

# These rules always run; Go's build cache decides what to compile.
bin/plugins/%.wasm: kernels FORCE
	@mkdir -p $(@D)
	GOOS=wasip1 GOARCH=wasm $(GO) build -buildmode=c-shared -tags kernels -ldflags="-s -w" -o $@ ./plugins/$*

# Assembly of the plugins' row loops. With the build tag kernels it replaces the Go code from which it is generated.
kernels:
	@GOOS= GOARCH= $(GO) run ./plugins/assembler

bin/culvert: FORCE
	@$(MAKE) --no-print-directory program

guests: $(WASM)
	@mkdir -p $(EMBED) && cp $(WASM) $(EMBED)/

# The program for the platform of GOOS and GOARCH. TAGS=pkcs11 adds hardware tokens, and needs cgo.
program: guests
	$(GO) build -tags "$(TAGS)" -ldflags="-s -w -X main.version=$(VERSION)" -o $(PROGRAM) ./cmd/culvert

dist:
	ANEW=$(ANEW) ./cmd/dist/make.sh $(TARGETS)

image:
	./cmd/dist/image.sh

demo: bin/culvert
	$(GO) build -o bin/culvert-demo ./examples/demo
	@bin/culvert-demo $(if $(ONCE),--once) $(if $(ROWS),--rows $(ROWS)) $(if $(PORT),--port $(PORT)) --culvert bin/culvert

# Two packages more than processors, because end-to-end tests wait for their workers a third of the time. Collections of
# garbage would take a fifth of the processor time; tests that measure a worker's memory reset GOGC.
test:
	$(GO) vet -tags real ./...
	@GOGC=400 ./.ci/seconds $(GO) test -p $$(($$(getconf _NPROCESSORS_ONLN) + 2)) -vet=off -timeout 30m ./...

lint:
	./.ci/lint

test-real: bin/culvert
# Two tests of a package at a time: they mostly wait for other software, which times out if more tests run.
	@./.ci/seconds $(GO) test -tags real -vet=off -run Real -count=1 -parallel 2 -timeout 60m $(REAL)
	@command -v "$$($(GO) env CC)" >/dev/null || { echo "make test-real: the PKCS#11 test needs a C compiler, and $$($(GO) env CC) is not installed" >&2; exit 1; }
	CGO_ENABLED=1 $(GO) test -tags real,pkcs11 -run RealPKCS11 -count=1 -timeout 5m ./internal/keystore

test-live:
	$(GO) test -tags real -vet=off -run '^TestLive$$' -count=1 -v -timeout 3h ./cmd/culvert/e2e/real

bench: bin/culvert
	$(GO) run ./cmd/bench --culvert bin/culvert $(if $(BRIEF),--brief,--page BENCHMARKS.md)

bench-peers: bin/culvert
	$(GO) test -tags real -run '^$$' -bench RealPeers -benchtime 1x -timeout 40m ./internal/run/transform ./plugins/odata/decode/bench

console-shots:
	CULVERT_SHOTS=$(CURDIR)/.shots ONLY=$(ONLY) $(GO) test -tags shots -run '^TestShots$$' -count=1 -timeout 20m ./internal/console

fuzz:
	./testdata/fuzz.sh $(FUZZTIME)

storm: bin/culvert
	CULVERT_SOAK=1 $(GO) test -run '^TestSoakReloadStorm$$' -count=1 -timeout 15m ./cmd/culvert/e2e/operate

soak: bin/culvert
	CULVERT_SOAK=1 $(GO) test -run "Soak|CloudConnectorAway|KilledApplicationServers|SinkFoldsTheTopic|StaysWithin|ReplayOfManyLetters|SimulatedGroup" -count=1 -timeout 2h ./cmd/culvert/e2e/... ./internal/cluster
	CULVERT_SOAK=1 $(GO) test -tags real -run ChaosOfAGroup -count=1 -timeout 3h ./cmd/culvert/e2e/delivery
	$(GO) run ./cmd/bench --culvert bin/culvert --strict feeds
	./testdata/fuzz.sh $(SOAKTIME) 'FuzzInside|FuzzSchema|FuzzRegistry|FuzzDeclarations'

# A failing target does not stop the others.
oracle:
	@failed=; \
	for one in ./testdata/abi/oracle.sh ./testdata/convert/oracle.sh \
	  "env TIMEOUT=600 ./testdata/peers/kafka/tool.sh plugins/smt/testdata/Replay.java plugins/smt/testdata write"; do \
	  echo "$$one"; $$one || failed="$$failed$$one; "; \
	done; \
	[ -z "$$failed" ] || { echo "make oracle: failed: $$failed" >&2; exit 1; }

oracle-fuzz:
	CULVERT_ORACLE_CASES=$(CASES) CULVERT_ORACLE_SEED=$(SEED) $(GO) test -tags real -run 'TestReal(Chains|OddStages)$$' -count=1 -v -timeout 4h ./internal/run/transform

# The picture in the console's guide, to be taken while `make demo ROWS=400000` runs.
screenshot:
	$${CULVERT_TEST_BROWSER:-chromium-headless-shell} --no-sandbox --hide-scrollbars --window-size=1200,1000 \
	  --screenshot=cmd/culvert/guides/console.png "http://127.0.0.1:8083/console/connector?name=order-details"

clean:
	rm -rf bin dist $(EMBED)/*.wasm
