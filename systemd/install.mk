# install.mk: installs the files, and builds the Debian package. Included by the Makefile.

# Each folder can be set on the command line. pkg-config knows those of the distribution, which do not depend on PREFIX.
BINDIR         ?= $(PREFIX)/bin
MANDIR         ?= $(PREFIX)/share/man
DATADIR        ?= $(PREFIX)/share/vodhook
EXAMPLESDIR    ?= $(PREFIX)/share/doc/vodhook/examples
UNITDIR        ?= $(or $(call dir_of,systemd,systemdsystemunitdir),/usr/lib/systemd/system)
SYSUSERSDIR    ?= $(or $(call dir_of,systemd,sysusersdir),/usr/lib/sysusers.d)
CATALOGDIR     ?= $(or $(call dir_of,systemd,catalogdir),/usr/lib/systemd/catalog)
COMPLETIONSDIR ?= $(or $(call dir_of,bash-completion,completionsdir),/usr/share/bash-completion/completions)
CONFIG         := /etc/vodhook.conf
dir_of = $(shell $(PKG_CONFIG) --variable=$(2) $(1) 2>/dev/null)

UNITS := $(notdir $(sort $(wildcard systemd/*.service systemd/*.socket systemd/*.timer)))

# mode:file:target of all that is installed but the configuration. The first program is the command, which runs the others.
INSTALLED = 755:$(B)/vodhook:$(BINDIR)/vodhook \
            $(foreach p,$(filter-out $(B)/vodhook,$(PROGRAMS)),755:$(p):$(LIBEXECDIR)/$(notdir $(p))) \
            $(foreach u,$(UNITS),644:$(B)/systemd/$(u):$(UNITDIR)/$(u)) \
            644:src/record/format-1.schema.json:$(DATADIR)/format-1.schema.json \
            644:systemd/vodhook.sysusers:$(SYSUSERSDIR)/vodhook.conf \
            644:systemd/vodhook.catalog:$(CATALOGDIR)/vodhook.catalog \
            644:systemd/bash-completion/vodhook:$(COMPLETIONSDIR)/vodhook \
            $(foreach n,1 5,$(foreach m,$(wildcard src/*/*.$(n)),644:$(m):$(MANDIR)/man$(n)/$(notdir $(m)))) \
            $(foreach e,$(wildcard systemd/*.conf.example),644:$(e):$(EXAMPLESDIR)/$(notdir $(e)))

# The tree's units have the paths of a package; here they get those of this installation.
$(B)/systemd/%: systemd/% FORCE
	$(Q)mkdir -p $(@D)
	$(Q)sed 's,/usr/bin/,$(BINDIR)/,; s,/usr/libexec/vodhook/,$(LIBEXECDIR)/,' $< >$@

## install: copy everything where the distribution expects it (DESTDIR=, PREFIX=); starts nothing
.PHONY: install
install: all $(UNITS:%=$(B)/systemd/%)
	$(Q)for entry in $(INSTALLED); do \
	    IFS=:; set -- $$entry; install -D -m "$$1" "$$2" "$(DESTDIR)$$3" || exit; echo "  INSTALL $(DESTDIR)$$3"; \
	done
	$(Q)[ -e "$(DESTDIR)$(CONFIG)" ] || { install -D -m 640 systemd/vodhook.conf "$(DESTDIR)$(CONFIG)" && \
	    echo "  INSTALL $(DESTDIR)$(CONFIG)"; }
	$(Q)$(if $(DESTDIR),,sh systemd/tell-systemd installed "$(SYSUSERSDIR)/vodhook.conf" $(CONFIG))

## uninstall: stop it and remove what install brought; the state, a changed configuration and the user vodhook stay
.PHONY: uninstall
uninstall:
	$(Q)$(if $(DESTDIR),,sh systemd/tell-systemd leaving $(UNITS))
	$(Q)for entry in $(INSTALLED); do IFS=:; set -- $$entry; rm -f "$(DESTDIR)$$3"; done
	$(Q)! cmp -s systemd/vodhook.conf "$(DESTDIR)$(CONFIG)" || rm "$(DESTDIR)$(CONFIG)"
	$(Q)for dir in $(LIBEXECDIR) $(DATADIR) $(EXAMPLESDIR) $(dir $(EXAMPLESDIR)) /etc/vodhook/forward /etc/vodhook; do \
	    [ ! -d "$(DESTDIR)$$dir" ] || rmdir --ignore-fail-on-non-empty "$(DESTDIR)$$dir"; \
	done
	$(Q)$(if $(DESTDIR),,sh systemd/tell-systemd gone)

## deb: build the Debian package vodhook_VERSION_ARCH.deb (DEBDIR= says where to)
.PHONY: deb
deb:
	$(Q)sh systemd/debian/build "$(B)/deb" "$(or $(DEBDIR),.)"
