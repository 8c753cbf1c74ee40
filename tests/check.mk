# check.mk: dependencies, tests, checks and benchmarks. Included by the Makefile.

APT_BUILD := gcc make libc6-dev pkg-config libmicrohttpd-dev libcjson-dev libsystemd-dev nettle-dev libsqlite3-dev \
             libcurl4-openssl-dev librdkafka-dev
APT_DEB   := build-essential debhelper systemd
APT_TEST  := libcmocka-dev python3 python3-jsonschema python3-pytest valgrind clang libclang-rt-CLANG-dev clang-tidy clang-format cppcheck \
             nginx-light webhook mandoc man-db systemd-container sqlite3 jq procps less strace iproute2 openssl git nodejs@node npm@npm $(APT_DEB) lintian \
             openjdk-17-jre-headless@java maven@mvn kcat

# Building and running need fewer packages than testing.
APT_WANTED = $(APT_BUILD) $(if $(filter deb,$(MAKECMDGOALS)),$(APT_DEB)) \
             $(if $(filter $(CHECKS),$(MAKECMDGOALS))$(if $(filter all run install deb,$(MAKECMDGOALS)),,no),$(APT_TEST))
CHECKS    := check check-long check-san check-valgrind fuzz lint bench

## deps: install the packages that a fresh Debian or Ubuntu lacks to build and test (needs root or sudo)
.PHONY: deps
deps:
	$(Q)sh tests/install-deps $(APT_WANTED)

# The other goals of the same make come after it, also with -j.
ifneq ($(filter deps,$(MAKECMDGOALS)),)
$(B)/flags deb lint fuzz check-san deps-bench: | deps
endif

## check: every test that fits in minutes (see tests/)
.PHONY: check
check: tests-built check-layers
	$(Q)tests/run-all $(B)

## check-long: the same, with many more rounds of the random tests
.PHONY: check-long
check-long: export VODHOOK_LONG = 1
check-long: check

.PHONY: tests-built
tests-built: all $(UNIT) $(FUZZ)

.PHONY: check-layers
check-layers:
	$(Q)sh tests/check-layers
	$(Q)sh tests/check-readme

# --- Sanitizers, valgrind, fuzzers ---------------------------------------------------------------------------

# FORTIFY_SOURCE hides its own checks from the sanitizers.
SANITIZE := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
SAN_ENV  := VODHOOK_SANITIZED=1 ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1 \
            UBSAN_OPTIONS=print_stacktrace=1

## check-san: unit tests, fuzz corpora and end to end, with AddressSanitizer and UBSan
.PHONY: check-san
check-san:
	$(Q)$(MAKE) B=$(B)/san CFLAGS='$(SANITIZE)' CPPFLAGS=-U_FORTIFY_SOURCE tests-built
	$(Q)$(SAN_ENV) tests/run-all $(B)/san unit fuzz e2e

## check-valgrind: unit tests under valgrind
.PHONY: check-valgrind
check-valgrind: $(UNIT)
	$(Q)tests/run-all $(B) valgrind

FUZZ_SECONDS ?= 60
FUZZER       := -fsanitize=fuzzer

## fuzz: libFuzzer for a minute in all (FUZZ_SECONDS=), with clang; findings stay in build/libfuzzer
.PHONY: fuzz
fuzz:
	$(Q)$(MAKE) B=$(B)/libfuzzer CC=clang CFLAGS='$(SANITIZE) -fsanitize=fuzzer-no-link' CPPFLAGS=-U_FORTIFY_SOURCE \
	    FUZZ_MAIN=$(FUZZER) fuzzers
	$(Q)sh tests/fuzz/run $(B)/libfuzzer/fuzz $(FUZZ_SECONDS)
.PHONY: fuzzers
fuzzers: $(FUZZ)

# --- Reading the source --------------------------------------------------------------------------------------

C_FILES = $(wildcard src/*.c src/*/*.[ch] include/*/*.h tests/unit/*.[ch] tests/fuzz/*.[ch])
TIDY    = $(patsubst src/%.c,$(B)/tidy/%,$(wildcard src/*.c src/*/*.c))

## lint: clang-format, cppcheck and clang-tidy; a file is checked again when it or one of its headers changed
.PHONY: lint
lint: check-layers
	$(Q)clang-format --dry-run -Werror $(C_FILES)
	$(Q)$(MAKE) --output-sync -j$$(nproc) $(B)/cppcheck tidy

.PHONY: tidy
tidy: $(TIDY)
$(B)/tidy/%: src/%.c $(B)/%.o .clang-tidy
	$(Q)mkdir -p $(@D)
	@echo "  TIDY  $<"
	$(Q)clang-tidy --quiet --warnings-as-errors='*' $< -- $(STD) $(filter-out @%,$(ALL_CPPFLAGS)) $$(cat $(B)/pkg-cflags) \
	    >$@.log 2>&1 || { cat $@.log >&2; exit 1; }
	$(Q)touch $@

# cppcheck does not know the cleanup attribute, and is told of sys/queue.h.
CPPCHECK := --suppress=memleak --include=tests/cppcheck.h

$(B)/cppcheck: $(C_FILES)
	$(Q)mkdir -p $(@D)/cppcheck-state
	@echo "  CPPCHECK"
	$(Q)cppcheck -q -j$$(nproc) --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
	    --cppcheck-build-dir=$(@D)/cppcheck-state -Iinclude -D_GNU_SOURCE $(CPPCHECK) $(wildcard src/*.c src/*/*.c)
	$(Q)touch $@

## bench: measure, and print tables and ratios (see tests/bench); QUICK=1 takes less than a minute
.PHONY: bench
bench: deps-bench all
	$(Q)tests/bench/run $(B)

# The servers beside which it measures.
APT_BENCH := nginx-light webhook wrk openjdk-17-jre-headless@java maven@mvn kcat
.PHONY: deps-bench
deps-bench:
	$(Q)sh tests/install-deps $(APT_BENCH)
