# make            bin/culvert with the built-in plugins in it, and bin/plugins/*.wasm
# make demo       try it: embedded broker, demo OData service, connectors both ways; ONCE=1 ends when all has arrived
# make dist       what is taken home, in dist/: archives for Linux, macOS and Windows, deb and rpm, checksums, bills of materials, licences; made twice, and compared. TARGETS=own for this platform alone, ANEW=1 with nothing from the build cache the second time
# make test       every test that needs nothing but Go
# make lint       staticcheck, and functions that nothing reaches
# make test-real  against software that is not ours: Apache Kafka, SAP CAP, Apache Olingo, guests in Rust, C and JavaScript, Chromium; fetches what it needs
# make bench      figures, as ratios where there is something to compare with, written to BENCHMARKS.md; BRIEF=1 runs each of them in seconds, for no figure
# make bench-peers  Kafka's own transforms and converters on a warm JVM beside ours, in turns, and both from topic to topic of a Kafka broker (needs Java and Maven)
# make fuzz       fuzz targets, FUZZTIME each (default 30s)
# make storm      500 edits of connectors' files in a minute, under load
# make soak       the long forms of the crash tests, of the chaos of a group (Apache Kafka) and of the storm of reloads, the memory of 50 connectors beside its aims, and each fuzz target inside the types (values, schemas, rows, offsets, declarations) for SOAKTIME (default 10m, an hour for the six)
# make oracle     make testdata/abi anew with wasm-tools and wit-bindgen (needs cargo), and the cases of converters and transforms with Kafka's own classes (needs Java and Maven)
# make oracle-fuzz  CASES (default 100000) each of chains and of stages with every option, odd settings and every type through Kafka's transforms and ours; SEED=n for the same ones again
GO       ?= go
TAGS     ?=
# Every build is one that can be shipped, so tests and programs share what was compiled.
export GOFLAGS := $(filter-out -trimpath,$(GOFLAGS)) -trimpath
export CGO_ENABLED := $(if $(filter pkcs11,$(TAGS)),1,0)
FUZZTIME ?= 30s
SOAKTIME ?= 10m
ROWS     ?=
CASES    ?= 100000
SEED     ?= $(shell date +%s)
GUESTS   := odata-source odata-sink smt
WASM     := $(GUESTS:%=bin/plugins/%.wasm)
EMBED    := cmd/culvert/plugins
PROGRAM  ?= bin/culvert
# Packages with tests against software that is not ours: others are not built for them.
REAL      = $(sort $(patsubst %/,./%,$(dir $(shell grep -rlE '^//go:build real' --include='*_test.go' cmd host))))
VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

.PHONY: all kernels guests program dist demo test lint test-real bench bench-peers fuzz storm soak oracle oracle-fuzz screenshot clean FORCE
all: bin/culvert

# Go's own build cache decides what is new; the rules always ask it.
bin/plugins/%.wasm: kernels FORCE
	@mkdir -p $(@D)
	GOOS=wasip1 GOARCH=wasm $(GO) build -buildmode=c-shared -tags kernels -ldflags="-s -w" -o $@ ./plugins/$*

# Assembly of the plugins' kernels, which the tag kernels takes in place of the same Go.
kernels:
	@$(GO) run ./plugins/assembler

bin/culvert: FORCE
	@$(MAKE) --no-print-directory program

guests: $(WASM)
	@mkdir -p $(EMBED) && cp $(WASM) $(EMBED)/

# The program for the platform that GOOS and GOARCH say. TAGS=pkcs11 has it reach tokens, by C.
program: guests
	$(GO) build -tags "$(TAGS)" -ldflags="-s -w -X main.version=$(VERSION)" -o $(PROGRAM) ./cmd/culvert

dist:
	ANEW=$(ANEW) ./cmd/dist/make.sh $(TARGETS)

demo: bin/culvert
	$(GO) build -o bin/culvert-demo ./examples/demo
	@bin/culvert-demo $(if $(ONCE),--once) $(if $(ROWS),--rows $(ROWS)) --culvert bin/culvert

# Two packages more than there are processors: end-to-end tests wait for their workers a third of the time.
test:
	$(GO) vet -tags real ./...
	@./.ci/seconds $(GO) test -p $$(($$(getconf _NPROCESSORS_ONLN) + 2)) -vet=off -timeout 30m ./...

lint:
	./.ci/lint

test-real: bin/culvert
# Two tests of a package at a time: peers are waited for most of the time, and their own patience ends where more run.
	@./.ci/seconds $(GO) test -tags real -vet=off -run Real -count=1 -parallel 2 -timeout 60m $(REAL)
	@command -v "$$($(GO) env CC)" >/dev/null || { echo "make test-real: the PKCS#11 test needs a C compiler, and $$($(GO) env CC) is not installed" >&2; exit 1; }
	CGO_ENABLED=1 $(GO) test -tags real,pkcs11 -run RealPKCS11 -count=1 -timeout 5m ./host/keystore

bench: bin/culvert
	$(GO) run ./cmd/bench --culvert bin/culvert $(if $(BRIEF),--brief,--page BENCHMARKS.md)

bench-peers: bin/culvert
	$(GO) test -tags real -run '^$$' -bench RealPeers -benchtime 1x -timeout 40m ./host/internal/run/transform

fuzz:
	./testdata/fuzz.sh $(FUZZTIME)

storm: bin/culvert
	CULVERT_SOAK=1 $(GO) test -run '^TestSoakReloadStorm$$' -count=1 -timeout 15m ./cmd/culvert/e2e/operate

soak: bin/culvert
	CULVERT_SOAK=1 $(GO) test -run "Soak|CloudConnectorAway|KilledApplicationServers|SinkFoldsTheTopic|SimulatedGroup" -count=1 -timeout 2h ./cmd/culvert/e2e/... ./host/cluster
	CULVERT_SOAK=1 $(GO) test -tags real -run ChaosOfAGroup -count=1 -timeout 3h ./cmd/culvert/e2e/delivery
	$(GO) run ./cmd/bench --culvert bin/culvert --strict feeds
	./testdata/fuzz.sh $(SOAKTIME) 'FuzzInside|FuzzSchema|FuzzRegistry|FuzzDeclarations'

# One that fails does not keep the others from running.
oracle:
	@failed=; \
	for one in ./testdata/abi/oracle.sh ./testdata/convert/oracle.sh \
	  "env TIMEOUT=600 ./testdata/peers/kafka/tool.sh plugins/smt/testdata/Replay.java plugins/smt/testdata write"; do \
	  echo "$$one"; $$one || failed="$$failed$$one; "; \
	done; \
	[ -z "$$failed" ] || { echo "make oracle: failed: $$failed" >&2; exit 1; }

oracle-fuzz:
	CULVERT_ORACLE_CASES=$(CASES) CULVERT_ORACLE_SEED=$(SEED) $(GO) test -tags real -run 'TestReal(Chains|OddStages)$$' -count=1 -v -timeout 4h ./host/internal/run/transform

# The picture in the console's guide, to be taken while `make demo ROWS=400000` runs.
screenshot:
	$${CULVERT_TEST_BROWSER:-chromium-headless-shell} --no-sandbox --hide-scrollbars --window-size=1200,620 \
	  --screenshot=cmd/culvert/guides/console.png "http://127.0.0.1:8083/console/connector?name=order-details"

clean:
	rm -rf bin dist $(EMBED)/*.wasm
