# make help lists the goals.
#
# CFLAGS, CPPFLAGS and LDFLAGS of the caller are appended to, never overwritten. V=1 shows the commands.

VERSION := 0.1.0
B       ?= build
PREFIX  ?= /usr/local
Q       := $(if $(V),,@)

.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

PKG_CONFIG ?= pkg-config
LIBS_EVERY  := libsystemd libcjson nettle sqlite3
LIBS_SERVER := libmicrohttpd
LIBS_CLOUD  := libcurl
LIBS_FORWARD := $(LIBS_CLOUD) rdkafka

STD   := -std=gnu11
WARN  := -Wall -Wextra -Wshadow -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef \
         -Wwrite-strings -Wformat=2 -Wimplicit-fallthrough -Wno-format-nonliteral $(if $(CI),-Werror)
BASE_CFLAGS  := $(STD) -O2 -g -fstack-protector-strong -fPIE $(WARN)
BASE_CPPFLAGS := -D_GNU_SOURCE -D_FORTIFY_SOURCE=2 -Iinclude -DVODHOOK_VERSION='"$(VERSION)"'
BASE_LDFLAGS := -pie -Wl,-z,relro,-z,now -Wl,--as-needed

ALL_CFLAGS    = $(BASE_CFLAGS) $(CFLAGS)
ALL_CPPFLAGS  = $(BASE_CPPFLAGS) -DVODHOOK_LIBEXECDIR='"$(LIBEXECDIR)"' @$(B)/pkg-cflags $(CPPFLAGS)
ALL_LDFLAGS   = $(BASE_LDFLAGS) $(LDFLAGS)
LIBEXECDIR    = $(PREFIX)/libexec/vodhook

# Everything but the main files is one library, so that tests and programs link the same objects. The linker takes only
# the objects that a program uses, so vodhook links no HTTP client.
LIB_SRC  := $(sort $(wildcard src/*/*.c))
LIB_OBJ  := $(LIB_SRC:src/%.c=$(B)/%.o)
PROGRAMS := $(B)/vodhook $(if $(wildcard src/main_cloud.c),$(B)/vodhook-cloud) \
            $(if $(wildcard src/main_forward.c),$(B)/vodhook-forward)

UNIT_SRC := $(sort $(wildcard tests/unit/test_*.c))
UNIT     := $(UNIT_SRC:tests/unit/%.c=$(B)/unit/%)
FUZZ_SRC := $(sort $(wildcard tests/fuzz/fuzz_*.c))
FUZZ     := $(FUZZ_SRC:tests/fuzz/%.c=$(B)/fuzz/%)

## all: build build/vodhook (the default)
.PHONY: all
all: $(PROGRAMS)

include tests/check.mk
include systemd/install.mk

# --- Building ----------------------------------------------------------------------------------------------

# A stamp that changes with the flags, so that everything is rebuilt then. Its recipe checks the versions of the libraries
# and asks pkg-config for their flags, since make deps may have installed them just before.
FLAGS_NOW = $(CC) $(ALL_CFLAGS) $(ALL_CPPFLAGS) $(ALL_LDFLAGS)
$(B)/flags: FORCE
	$(Q)mkdir -p $(@D)
	$(Q)sh tests/check-libraries $(PKG_CONFIG)
	$(Q)$(PKG_CONFIG) --cflags $(LIBS_EVERY) $(LIBS_SERVER) $(LIBS_FORWARD) >$(B)/pkg-cflags
	$(Q)printf '%s\n' "$$FLAGS_NOW" | cat - $(B)/pkg-cflags >$@.now
	$(Q)cmp -s $@.now $@ || cp $@.now $@
export FLAGS_NOW
.PHONY: FORCE

$(B)/%.o: src/%.c $(B)/flags
	$(Q)mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# The JSON Schema is a part of the program.
$(B)/record/json_line.o: src/record/format-1.schema.json

$(B)/libvodhook.a: $(LIB_OBJ)
	$(Q)rm -f $@
	$(Q)$(AR) rcs $@ $^

$(B)/vodhook: $(B)/main.o $(B)/libvodhook.a
	@echo "  LINK  $@"
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $$($(PKG_CONFIG) --libs $(LIBS_EVERY) $(LIBS_SERVER))

$(B)/vodhook-cloud: $(B)/main_cloud.o $(B)/libvodhook.a
	@echo "  LINK  $@"
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $$($(PKG_CONFIG) --libs $(LIBS_EVERY) $(LIBS_CLOUD))

$(B)/vodhook-forward: $(B)/main_forward.o $(B)/libvodhook.a
	@echo "  LINK  $@"
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $$($(PKG_CONFIG) --libs $(LIBS_EVERY) $(LIBS_FORWARD))

$(B)/unit/%: tests/unit/%.c $(B)/libvodhook.a
	$(Q)mkdir -p $(@D)
	@echo "  TEST  $@"
	$(Q)$(CC) $(ALL_CPPFLAGS) -DFIXTURES='"$(CURDIR)/tests/fixtures"' $(ALL_CFLAGS) -MMD -MP $(ALL_LDFLAGS) -o $@ $< \
	    $(B)/libvodhook.a $$($(PKG_CONFIG) --libs $(LIBS_EVERY) $(LIBS_SERVER) $(LIBS_FORWARD) cmocka)

# With the driver that replays a corpus; make fuzz puts libFuzzer in its place.
FUZZ_MAIN ?= tests/fuzz/replay_main.c
$(B)/fuzz/%: tests/fuzz/%.c tests/fuzz/replay_main.c $(B)/libvodhook.a
	$(Q)mkdir -p $(@D)
	@echo "  FUZZ  $@"
	$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -Wno-missing-prototypes -MMD -MP -MF $@.d -MT $@ $(ALL_LDFLAGS) -o $@ $< \
	    $(FUZZ_MAIN) $(B)/libvodhook.a $$($(PKG_CONFIG) --libs $(LIBS_EVERY) $(LIBS_SERVER) $(LIBS_FORWARD))

-include $(LIB_OBJ:.o=.d) $(B)/main.d $(B)/main_cloud.d $(B)/main_forward.d $(UNIT:=.d) $(FUZZ:=.d)

## run: build, and receive events on port 8080 until Ctrl-C
.PHONY: run
run: all
	$(B)/vodhook

## clean: remove build/
.PHONY: clean
clean:
	rm -rf $(B)

## help: this list
.PHONY: help
help:
	@grep -hE '^## ' $(MAKEFILE_LIST) | sed -E 's/^## ([^:]*): (.*)/  make \1\t\2/' | expand -t 24
