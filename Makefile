# make run       install what is missing, build, and serve ./penstock-data on loopback
# make test      install what is missing, build, and run every test
# make torture   kill -9 every role at random moments: ROUNDS=200 kills, SEED= repeats the choices
# make lease     kill processes with many writes on their way: RUNS=200 for each backend
# make simulate  run the shard in a simulated world: SEEDS=2000 seeds from FROM=1
# make canaries  break a rule at a time on purpose and see that the simulation finds it
# make test-asan run the tests of PenstockCore under address sanitizer
# make model     compare random stores with a plain list of their events: SECONDS=60 from SEED=1
# make fuzz      feed hostile bytes to every decoder: SECONDS=60 for each of the six targets
# make lint      check the style of every source file
# make bench     measure this machine
# make build     the release program: .build-release/release/penstock
# make lib       the library for C: .build-release/lib/libpenstock.so and penstock.h
# make deps      only install what is missing; does nothing when all is there
#
# ARGS is handed on: make run ARGS='--shards 1 --listen syslog+udp://127.0.0.1:5140'

SWIFT ?= swift
ARGS ?=
ROUNDS ?= 200
SEED ?=
RUNS ?= 200
SEEDS ?= 2000
FROM ?= 1
SECONDS ?= 60
SCRATCH := .build-release
LIBRARY := $(SCRATCH)/lib
PROGRAM := $(SCRATCH)/release/penstock
SIMULATE := $(SCRATCH)/release/penstock-simulate

# Beyond the Swift toolchain: two libraries, the C++ library Swift links with, git to fetch
# dependencies; for the tests logger (bsdutils) and a file system to fill up (e2fsprogs, mount).
PACKAGES := liburing-dev liblz4-dev g++ git ca-certificates bsdutils e2fsprogs mount

# libFuzzer with address sanitizer, optimised, assertions kept. The options are given twice, since
# the package manager knows only one sanitizer at a time.
FUZZ := .build-fuzz
FUZZER := $(FUZZ)/release/PenstockFuzz
FUZZ_OPTIONS := -c release --scratch-path $(FUZZ) --sanitize=fuzzer -Xcc -fsanitize=address \
  -Xswiftc -sanitize=fuzzer,address -Xswiftc -assert-config -Xswiftc Debug
FUZZ_LIMITS := -timeout=10 -rss_limit_mb=2048 -malloc_limit_mb=512 -max_len=4096

.PHONY: build run test torture lease simulator simulate canaries model test-asan fuzz lint bench \
  lib deps

build: deps
	$(SWIFT) build -c release --static-swift-stdlib --product penstock --scratch-path $(SCRATCH)

run: build
	@exec $(PROGRAM) serve $(ARGS)

test: deps
	$(SWIFT) build --build-tests
	$(SWIFT) test --skip-build $(ARGS)

torture: deps
	$(SWIFT) build --build-tests
	PENSTOCK_TORTURE_ROUNDS=$(ROUNDS) PENSTOCK_TORTURE_SEED=$(SEED) \
	  $(SWIFT) test --skip-build --filter TortureTests

lease: deps
	$(SWIFT) build --build-tests
	PENSTOCK_LEASE_RUNS=$(RUNS) $(SWIFT) test --skip-build --filter LeaseExperimentTests

simulator: deps
	$(SWIFT) build -c release --static-swift-stdlib --product penstock-simulate \
	  --scratch-path $(SCRATCH)

simulate: simulator
	$(SIMULATE) --seeds $(SEEDS) --from $(FROM) $(ARGS)

canaries: simulator
	$(SIMULATE) --seeds 200 --canary all

model: deps
	$(SWIFT) build --build-tests
	PENSTOCK_MODEL_SECONDS=$(SECONDS) PENSTOCK_MODEL_SEED=$(or $(SEED),1) \
	  $(SWIFT) test --skip-build --filter StoreModelTests

# What a test run still holds at its end is no finding: tests lend themselves to closures.
test-asan: deps
	$(SWIFT) build --build-tests --sanitize=address --scratch-path .build-asan
	ASAN_OPTIONS=detect_leaks=0 $(SWIFT) test --skip-build --sanitize=address --scratch-path .build-asan \
	  --filter PenstockCoreTests $(ARGS)

# What is found stays in the folder that is printed: an input for each finding, and the log.
fuzz: deps
	PENSTOCK_FUZZ=1 $(SWIFT) build --product PenstockFuzz $(FUZZ_OPTIONS)
	@set -eu; \
	folder=$$(mktemp -d); failed=; \
	echo "inputs and logs: $$folder"; \
	for target in recovery table text import session syslog; do \
	  place=$$folder/$$target; mkdir -p $$place/corpus $$place/findings; \
	  $(FUZZER) --target=$$target --seeds=$$place/seeds --root=. 2> $$place/log; \
	  SWIFT_BACKTRACE=enable=no nice -n 19 timeout -s KILL $$(($(SECONDS) + 120)) \
	    $(FUZZER) --target=$$target -max_total_time=$(SECONDS) $(FUZZ_LIMITS) \
	    -artifact_prefix=$$place/findings/ $$place/corpus $$place/seeds > $$place/log 2>&1 \
	    || failed="$$failed $$target"; \
	  tail -n 1 $$place/log; \
	done; \
	if [ -n "$$failed" ]; then \
	  echo "findings in$$failed: see $$folder" >&2; exit 1; \
	fi

lint:
	$(SWIFT) format lint --strict --recursive Package.swift Sources Tests $(wildcard Benchmarks)

bench: build
	$(PROGRAM) bench ingest $(ARGS)

# The package has a program named penstock already, so the library is built under another name; its
# soname is the one it is installed under.
lib: deps
	$(SWIFT) build -c release --static-swift-stdlib --product PenstockC --scratch-path $(SCRATCH)
	mkdir -p $(LIBRARY)
	cp $(SCRATCH)/release/libPenstockC.so $(LIBRARY)/libpenstock.so
	cp Sources/CPenstock/include/penstock.h $(LIBRARY)/

# dpkg-query tells what is there without root and without the network.
deps:
	@set -eu; \
	if command -v dpkg-query > /dev/null; then \
	  missing=; \
	  for package in $(PACKAGES); do \
	    case "$$(dpkg-query -W -f '$${Status}' $$package 2> /dev/null || true)" in \
	      'install ok installed') ;; \
	      *) missing="$$missing $$package" ;; \
	    esac; \
	  done; \
	  if [ -n "$$missing" ]; then \
	    echo "installing:$$missing"; \
	    sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	    $$sudo apt-get update -q; \
	    $$sudo env DEBIAN_FRONTEND=noninteractive \
	      apt-get install -y -q --no-install-recommends $$missing; \
	  fi; \
	elif [ ! -e /usr/include/liburing.h ] || [ ! -e /usr/include/lz4.h ]; then \
	  echo 'penstock needs the headers of liburing and lz4: install them with your package' \
	    'manager (names like liburing-devel and lz4-devel), then run make again' >&2; \
	  exit 1; \
	fi; \
	if ! command -v $(SWIFT) > /dev/null; then \
	  echo 'penstock needs Swift 6.3 or newer: see https://www.swift.org/install/linux/,' \
	    'then run make again' >&2; \
	  exit 1; \
	fi
