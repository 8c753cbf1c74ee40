# check.mk: dependencies, tests, checks and benchmarks. Included by the Makefile.

APT_BUILD := gcc make pkg-config libmicrohttpd-dev libcjson-dev libsystemd-dev nettle-dev libsqlite3-dev \
             libcurl4-openssl-dev
APT_TEST  := libcmocka-dev python3 python3-pytest valgrind clang clang-tidy clang-format cppcheck mandoc man-db \
             libclang-rt-$(CLANG_MAJOR)-dev systemd-container sqlite3 jq strace iproute2 openssl git

# Which libclang-rt there is depends on the release.
CLANG_MAJOR = $(shell apt-cache depends clang 2>/dev/null | sed -n 's/.*Depends: clang-\([0-9]*\)$$/\1/p' | head -n1)

## deps: install what a fresh Debian or Ubuntu lacks to build and test (needs root or sudo)
.PHONY: deps
deps:
	$(Q)sh tests/install-deps "$(APT_BUILD)" "$(filter-out libclang-rt--dev,$(APT_TEST))"

## check: every test that fits in minutes (see tests/)
.PHONY: check
check: all check-layers $(UNIT)
	$(Q)sh tests/run-all $(B)
.PHONY: check-layers
check-layers:
	$(Q)sh tests/check-layers
