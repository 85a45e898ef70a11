# nm-killswitch: build, install, test, package. `make help` lists the targets.

PREFIX      ?= /usr
SYSCONFDIR  ?= /etc
LOCALSTATEDIR ?= /var
RUNSTATEDIR ?= /run
BINDIR      ?= $(PREFIX)/bin
LIBEXECDIR  ?= $(PREFIX)/libexec
DATADIR     ?= $(PREFIX)/share
# NetworkManager, systemd, firewalld and ip(8) look only here, whatever PREFIX and SYSCONFDIR are
NMLIBDIR    ?= /usr/lib/NetworkManager
UNITDIR     ?= /usr/lib/systemd/system
USERUNITDIR ?= /usr/lib/systemd/user
CATALOGDIR  ?= /usr/lib/systemd/catalog
GENERATORDIR ?= /usr/lib/systemd/system-generators
FIREWALLDDIR ?= /usr/lib/firewalld
IPROUTEDIR  ?= /etc/iproute2
MANDIR      ?= $(PREFIX)/share/man
DOCDIR      ?= $(PREFIX)/share/doc/nm-killswitch
BASHCOMPDIR ?= $(PREFIX)/share/bash-completion/completions
ZSHCOMPDIR  ?= $(PREFIX)/share/zsh/site-functions
FISHCOMPDIR ?= $(PREFIX)/share/fish/vendor_completions.d
DESTDIR     ?=

VERSION     := $(shell sed -n '1s/.* //p' NEWS.md)
# A clock that is behind this is wrong. Not the time of the build: the same sources give the same program.
BUILD_TIME  := $(or $(SOURCE_DATE_EPOCH),$(shell stat -c %Y NEWS.md))

CC          ?= cc
CLANG       ?= clang
CLANG_FORMAT ?= clang-format
PYTHON      ?= python3
PKG_CONFIG  ?= pkg-config
INSTALL     ?= install
SUDO        ?=
V           ?= 0
WERROR      ?= 0
# SANITIZE=address,undefined builds into a directory of its own
SANITIZE    ?=
# FAULTS=1 builds with fault injection (tests only)
FAULTS      ?= 0
COVERAGE    ?= 0

BUILD       ?= build$(if $(SANITIZE),/sanitize)$(if $(filter 1,$(FAULTS)),/faults)$(if $(filter 1,$(COVERAGE)),/coverage)

PACKAGES     = libnm glib-2.0 gio-2.0 gio-unix-2.0 libnl-3.0 libnl-route-3.0 libnftables
# with sanitizers, -O2 takes nearly twice as long to compile
CFLAGS      ?= $(if $(SANITIZE),-O1,-O2) -g
WARNINGS     = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition \
               -Wpointer-arith -Wwrite-strings -Wvla -Wformat=2 -Wundef -Wimplicit-fallthrough -Wno-missing-field-initializers
# distributions whose flags ask for another level than 2 would get a warning for each file
HARDENING   ?= -fstack-protector-strong -fPIE \
               $(if $(findstring _FORTIFY_SOURCE,$(CFLAGS) $(CPPFLAGS)),,-D_FORTIFY_SOURCE=2)

ALL_CPPFLAGS = -Iplugin -D_GNU_SOURCE -DG_LOG_DOMAIN='"nm-killswitch"' -DKS_VERSION='"$(VERSION)"' \
               -DKS_SYSCONFDIR='"$(SYSCONFDIR)"' -DKS_RUNSTATEDIR='"$(RUNSTATEDIR)"' \
               -DKS_LOCALSTATEDIR='"$(LOCALSTATEDIR)"' -DKS_LIBEXECDIR='"$(LIBEXECDIR)"' \
               -DKS_DATADIR='"$(DATADIR)"' \
               $(if $(filter 1,$(FAULTS)),-DKS_FAULTS) $(PACKAGE_CFLAGS) $(CPPFLAGS)
ALL_CFLAGS   = -std=gnu11 $(WARNINGS) $(if $(filter 1,$(WERROR)),-Werror) \
               $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fPIE -fno-sanitize-recover=all,$(HARDENING)) \
               $(if $(filter 1,$(COVERAGE)),--coverage -O0) $(CFLAGS)
ALL_LDFLAGS  = -pie -Wl,-z,relro,-z,now -Wl,--as-needed $(if $(SANITIZE),-fsanitize=$(SANITIZE)) \
               $(if $(filter 1,$(COVERAGE)),--coverage) $(LDFLAGS)
PACKAGE_CFLAGS = $(shell $(PKG_CONFIG) --cflags $(PACKAGES) 2>/dev/null)
PACKAGE_LIBS = $(shell $(PKG_CONFIG) --libs $(PACKAGES) 2>/dev/null) -lresolv

Q            = $(if $(filter 1,$(V)),,@)
say          = $(if $(filter 1,$(V)),,@printf '  %-8s%s\n' '$(1)' '$(2)';)

PLUGIN_SOURCES  = $(filter-out plugin/selftest/%,$(wildcard plugin/*/*.c))
PLUGIN_OBJECTS  = $(PLUGIN_SOURCES:%.c=$(BUILD)/%.o)
PLUGIN          = $(BUILD)/libkillswitch.a
SELFTEST_OBJECTS = $(patsubst %.c,$(BUILD)/%.o,$(wildcard plugin/selftest/*.c))
SELFTEST        = $(BUILD)/libselftest.a
PROGRAMS        = $(BUILD)/10-killswitch $(BUILD)/nm-killswitch $(BUILD)/nm-killswitch-selftest \
                  $(BUILD)/nm-killswitch-generator $(BUILD)/nm-killswitch-notify

# System units are generated from nm-conf/NAME.in, user units from nm-conf/user/NAME.in, manual pages from man/NAME, which has the default paths.
UNITS           = $(patsubst %.in,$(BUILD)/%,$(wildcard nm-conf/*.in))
USER_UNITS      = $(patsubst %.in,$(BUILD)/%,$(wildcard nm-conf/user/*.in))
MANUALS         = $(addprefix $(BUILD)/,$(wildcard man/*))

.PHONY: all
all: $(PROGRAMS) units $(MANUALS)

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

%/plugin/value/ks-clock.o: ALL_CPPFLAGS += -DKS_BUILD_TIME=$(BUILD_TIME)
$(BUILD)/plugin/value/ks-clock.o: NEWS.md

# Identifies the sources that read keyfiles: a program with other sources must not use what this one remembers of them.
READER_SOURCES = $(sort $(wildcard $(addprefix plugin/,base/*.[ch] input/*.[ch] value/*.[ch] vpn/*.[ch])))
%/plugin/input/ks-profile-memory.o: ALL_CPPFLAGS += -DKS_READER='"$(shell cat $(READER_SOURCES) | sha256sum | cut -c1-32)"'
$(BUILD)/plugin/input/ks-profile-memory.o: $(READER_SOURCES)

$(PLUGIN): $(PLUGIN_OBJECTS)
$(SELFTEST): $(SELFTEST_OBJECTS)
$(BUILD)/%.a:
	@rm -f $@
	$(call say,AR,$@)$(AR) rcs $@ $^

$(BUILD)/nm-killswitch-selftest: $(SELFTEST)
$(PROGRAMS): $(BUILD)/%: $(BUILD)/dispatcher/%.o $(PLUGIN)
	$(call say,LINK,$@)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(filter %selftest.a,$^) $(PLUGIN) $(PACKAGE_LIBS)

# Files that contain a path are rebuilt when a path changes, and only then.
PATHS        = $(foreach name,BINDIR DATADIR DOCDIR SYSCONFDIR LOCALSTATEDIR RUNSTATEDIR LIBEXECDIR,$(name)=$($(name)))
$(BUILD)/paths: FORCE
	@mkdir -p $(@D)
	@echo '$(PATHS)' | cmp -s - $@ || echo '$(PATHS)' >$@
.PHONY: FORCE
$(patsubst %.c,$(BUILD)/%.o,$(shell grep -lE 'KS_[A-Z]+DIR' plugin/*/*.c dispatcher/*.c tests/*/*.c)): $(BUILD)/paths

# Directories that differ from systemd's StateDirectory= and RuntimeDirectory=: the units have to create them and be allowed to write there.
OTHER_PLACES = $(filter-out /var/lib/nm-killswitch /run/nm-killswitch,\
                 $(LOCALSTATEDIR)/lib/nm-killswitch $(RUNSTATEDIR)/nm-killswitch)
UNIT_EDITS   = $(foreach name,BINDIR LIBEXECDIR SYSCONFDIR RUNSTATEDIR,-e 's,@$(name)@,$($(name)),g') \
               $(if $(OTHER_PLACES),-e '/^RuntimeDirectoryPreserve=/a ExecStartPre=+/bin/mkdir -p $(OTHER_PLACES)' \
                                    -e '/^RuntimeDirectoryPreserve=/a ReadWritePaths=$(OTHER_PLACES)')
MANUAL_EDITS = -e 's,/usr/share/doc/nm-killswitch,$(DOCDIR),g' \
               -e 's,/usr/share/nm-killswitch,$(DATADIR)/nm-killswitch,g' \
               -e 's,/etc/nm-killswitch\.conf,$(SYSCONFDIR)/nm-killswitch.conf,g' \
               -e 's,/var/lib/nm-killswitch,$(LOCALSTATEDIR)/lib/nm-killswitch,g' \
               -e 's,/run/nm-killswitch,$(RUNSTATEDIR)/nm-killswitch,g'

.PHONY: units
units: $(UNITS) $(USER_UNITS)
$(UNITS) $(USER_UNITS): $(BUILD)/%: %.in $(BUILD)/paths
	@mkdir -p $(@D)
	$(call say,EDIT,$@)sed $(UNIT_EDITS) $< >$@
$(MANUALS): $(BUILD)/%: % $(BUILD)/paths
	@mkdir -p $(@D)
	$(call say,EDIT,$@)sed $(MANUAL_EDITS) $< >$@

# keep the tests' object files, which make would delete as intermediate files
.SECONDARY:

# --- installation: starts and enables nothing ---

DISPATCHER   = $(NMLIBDIR)/dispatcher.d

.PHONY: install
install: all
	$(INSTALL) -D -m 0755 $(BUILD)/10-killswitch $(DESTDIR)$(DISPATCHER)/no-wait.d/10-killswitch
	$(INSTALL) -d $(DESTDIR)$(DISPATCHER)/pre-up.d $(DESTDIR)$(DISPATCHER)/pre-down.d
	ln -sf no-wait.d/10-killswitch $(DESTDIR)$(DISPATCHER)/10-killswitch
	ln -sf ../no-wait.d/10-killswitch $(DESTDIR)$(DISPATCHER)/pre-up.d/10-killswitch
	ln -sf ../no-wait.d/10-killswitch $(DESTDIR)$(DISPATCHER)/pre-down.d/10-killswitch
	$(INSTALL) -D -m 0755 $(BUILD)/nm-killswitch $(DESTDIR)$(BINDIR)/nm-killswitch
	$(INSTALL) -D -m 0755 $(BUILD)/nm-killswitch-selftest $(DESTDIR)$(LIBEXECDIR)/nm-killswitch-selftest
	$(INSTALL) -D -m 0755 $(BUILD)/nm-killswitch-notify $(DESTDIR)$(LIBEXECDIR)/nm-killswitch-notify
	$(INSTALL) -D -m 0755 $(BUILD)/nm-killswitch-generator $(DESTDIR)$(GENERATORDIR)/nm-killswitch-generator
	$(INSTALL) -D -m 0644 nm-conf/nm-killswitch.conf $(DESTDIR)$(SYSCONFDIR)/nm-killswitch.conf
	$(INSTALL) -D -m 0644 nm-conf/rt_tables.conf $(DESTDIR)$(IPROUTEDIR)/rt_tables.d/nm-killswitch.conf
	$(INSTALL) -D -m 0644 nm-conf/rt_protos.conf $(DESTDIR)$(IPROUTEDIR)/rt_protos.d/nm-killswitch.conf
	$(INSTALL) -D -m 0644 nm-conf/10-nm-killswitch.conf $(DESTDIR)$(NMLIBDIR)/conf.d/10-nm-killswitch.conf
	for unit in $(UNITS); do \
		$(INSTALL) -D -m 0644 "$$unit" "$(DESTDIR)$(UNITDIR)/$${unit##*/}" || exit 1; done
	for unit in $(USER_UNITS); do \
		$(INSTALL) -D -m 0644 "$$unit" "$(DESTDIR)$(USERUNITDIR)/$${unit##*/}" || exit 1; done
	$(INSTALL) -D -m 0644 nm-conf/completions/nm-killswitch.bash $(DESTDIR)$(BASHCOMPDIR)/nm-killswitch
	$(INSTALL) -D -m 0644 nm-conf/completions/_nm-killswitch $(DESTDIR)$(ZSHCOMPDIR)/_nm-killswitch
	$(INSTALL) -D -m 0644 nm-conf/completions/nm-killswitch.fish $(DESTDIR)$(FISHCOMPDIR)/nm-killswitch.fish
	$(INSTALL) -D -m 0644 nm-conf/nm-killswitch.catalog $(DESTDIR)$(CATALOGDIR)/nm-killswitch.catalog
	$(INSTALL) -D -m 0644 nm-conf/nm-killswitch.cil $(DESTDIR)$(DATADIR)/nm-killswitch/nm-killswitch.cil
	for zone in nm-conf/zones/*.xml; do \
		$(INSTALL) -D -m 0644 "$$zone" "$(DESTDIR)$(FIREWALLDDIR)/zones/$${zone##*/}" || exit 1; done
	$(INSTALL) -D -m 0644 $(BUILD)/man/nm-killswitch.8 $(DESTDIR)$(MANDIR)/man8/nm-killswitch.8
	$(INSTALL) -D -m 0644 $(BUILD)/man/nm-killswitch-notify.8 $(DESTDIR)$(MANDIR)/man8/nm-killswitch-notify.8
	$(INSTALL) -D -m 0644 $(BUILD)/man/nm-killswitch.conf.5 $(DESTDIR)$(MANDIR)/man5/nm-killswitch.conf.5
	$(INSTALL) -D -m 0644 docs/status-json.md $(DESTDIR)$(DOCDIR)/status-json.md

.PHONY: uninstall
uninstall:
	rm -f $(DESTDIR)$(DISPATCHER)/10-killswitch $(DESTDIR)$(DISPATCHER)/no-wait.d/10-killswitch \
		$(DESTDIR)$(DISPATCHER)/pre-up.d/10-killswitch $(DESTDIR)$(DISPATCHER)/pre-down.d/10-killswitch \
		$(DESTDIR)$(BINDIR)/nm-killswitch $(DESTDIR)$(LIBEXECDIR)/nm-killswitch-selftest \
		$(DESTDIR)$(LIBEXECDIR)/nm-killswitch-notify $(DESTDIR)$(GENERATORDIR)/nm-killswitch-generator \
		$(DESTDIR)$(CATALOGDIR)/nm-killswitch.catalog \
		$(DESTDIR)$(BASHCOMPDIR)/nm-killswitch $(DESTDIR)$(ZSHCOMPDIR)/_nm-killswitch \
		$(DESTDIR)$(FISHCOMPDIR)/nm-killswitch.fish \
		$(DESTDIR)$(DATADIR)/nm-killswitch/nm-killswitch.cil \
		$(DESTDIR)$(SYSCONFDIR)/nm-killswitch.conf \
		$(DESTDIR)$(IPROUTEDIR)/rt_tables.d/nm-killswitch.conf \
		$(DESTDIR)$(IPROUTEDIR)/rt_protos.d/nm-killswitch.conf \
		$(DESTDIR)$(NMLIBDIR)/conf.d/10-nm-killswitch.conf \
		$(addprefix $(DESTDIR)$(UNITDIR)/,$(notdir $(UNITS))) \
		$(addprefix $(DESTDIR)$(USERUNITDIR)/,$(notdir $(USER_UNITS))) \
		$(addprefix $(DESTDIR)$(FIREWALLDDIR)/zones/,$(notdir $(wildcard nm-conf/zones/*.xml))) \
		$(DESTDIR)$(MANDIR)/man8/nm-killswitch.8 $(DESTDIR)$(MANDIR)/man8/nm-killswitch-notify.8 \
		$(DESTDIR)$(MANDIR)/man5/nm-killswitch.conf.5 \
		$(DESTDIR)$(DOCDIR)/status-json.md

# --- tests ---

# A unit test is tests/unit/test-NAME.c, a kernel test tests/kernel/test-NAME.c.
UNIT_TESTS   = $(patsubst %.c,$(BUILD)/%,$(wildcard tests/unit/test-*.c))
KERNEL_TESTS = $(patsubst %.c,$(BUILD)/%,$(wildcard tests/kernel/test-*.c))
TEST_LIBS    = $(shell $(PKG_CONFIG) --libs cmocka 2>/dev/null)
TEST_SUPPORT = $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/lib/*.c))

$(BUILD)/tests/%: $(BUILD)/tests/%.o $(TEST_SUPPORT) $(SELFTEST) $(PLUGIN)
	$(call say,LINK,$@)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(PACKAGE_LIBS) $(TEST_LIBS)
$(BUILD)/tests/%.o: ALL_CPPFLAGS += -Itests/lib -DKS_TESTS='"$(CURDIR)/tests"'

-include tests/fuzz/fuzz.mk

# What tests/kernel/test-faults.c runs: the programs, built with fault injection.
FAULTY = $(BUILD)/faults
$(BUILD)/tests/kernel/test-faults.o: ALL_CPPFLAGS += -DKS_FAULTY='"$(abspath $(FAULTY))"'
.PHONY: faulty
faulty:
	+$(Q)$(MAKE) --no-print-directory BUILD=$(FAULTY) FAULTS=1 all

# What tests/kernel/test-ks-log.c and test-boot.c run, and the name service that the programs must not ask.
ASKED = $(BUILD)/tests/tools/libnss_asked.so.2
$(ASKED): tests/tools/nss-asked.c
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(CC) -std=gnu11 -D_GNU_SOURCE $(WARNINGS) $(CFLAGS) -shared -fPIC -o $@ $<
$(BUILD)/tests/kernel/test-boot: | $(PROGRAMS) $(ASKED)
$(BUILD)/tests/kernel/test-ks-log: | $(PROGRAMS)
$(BUILD)/tests/kernel/test-boot.o $(BUILD)/tests/kernel/test-ks-log.o: ALL_CPPFLAGS += -DKS_BUILD='"$(abspath $(BUILD))"'

.PHONY: tests
tests: $(UNIT_TESTS) $(KERNEL_TESTS)

.PHONY: dependencies
dependencies:
	packaging/install-dependencies check

# The package for other architectures and Debian releases, in chroots: takes half an hour, so it is not in check-full.
.PHONY: check-arch
check-arch:
	packaging/install-dependencies check
	$(PYTHON) tests/run-suite tests/arch

.PHONY: check check-full check-unit check-make check-sanitizers sanitized-tests check-valgrind check-kernel check-nm check-attacks check-vm
# Each suite runs in a make of its own, so that pkg-config sees what `dependencies` has just installed.
check check-full: dependencies
	tests/run-all $@

check-unit: $(UNIT_TESTS)
	tests/run-cmocka $(UNIT_TESTS)
# Unit and kernel tests with sanitizers, and the inputs found by fuzzing.
SANITIZED_TESTS = $(UNIT_TESTS) $(filter-out %/test-boot %/test-faults %/test-ks-selftest,$(KERNEL_TESTS)) $(CORPORA_TEST)
check-sanitizers:
	$(MAKE) --no-print-directory SANITIZE=address,undefined sanitized-tests
sanitized-tests: $(SANITIZED_TESTS)
	tests/run-cmocka $(SANITIZED_TESTS)
VALGRIND ?= valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite
# Also the codecs' kernel tests, but no others: Debian 12's libnftables sends uninitialised bytes.
VALGRIND_TESTS = $(UNIT_TESTS) $(filter %-message,$(KERNEL_TESTS))
check-valgrind: $(VALGRIND_TESTS)
	KS_ORDER_PAIRS=30 TEST_WRAPPER='$(VALGRIND)' tests/run-cmocka $(VALGRIND_TESTS)
check-kernel: $(KERNEL_TESTS) faulty
	tests/run-cmocka $(KERNEL_TESTS)
check-make: all
	$(PYTHON) tests/run-suite tests/make
check-nm: all
	$(PYTHON) tests/run-suite tests/nm
check-attacks: all
	$(PYTHON) tests/run-suite tests/attacks
# The whole table, including the columns that are only measured for comparison: takes some 15 minutes.
ATTACKS      = $(CURDIR)/$(BUILD)/attacks
.PHONY: attacks attacks-here attacks-vm
attacks: all deb
	rm -rf $(ATTACKS)
	-$(MAKE) --no-print-directory --keep-going -j2 attacks-here attacks-vm
	$(PYTHON) -c 'import sys; sys.path.insert(0, "tests/lib"); from kstest import attack_table; \
		attack_table.main(["$(ATTACKS)", "docs/attacks.md"])'
attacks-here:
	KS_ATTACKS=$(ATTACKS) $(PYTHON) tests/run-suite tests/attacks
attacks-vm:
	KS_ATTACKS=$(ATTACKS) $(PYTHON) tests/run-suite tests/vm/test_attacks.py
check-vm:
	tests/run-all vm
# A shell in the virtual machine of those tests.
.PHONY: vm
vm: deb
	$(PYTHON) tests/vm/shell.py

# MUTATE='lock numbers' selects faults by words in their names.
.PHONY: mutate
mutate:
	$(PYTHON) tests/run-mutate $(MUTATE)

# Measurements, not tests. PARTS=... selects; QUICK=1 only shows that they run.
.PHONY: bench bench-repair
bench: all deb
	packaging/install-dependencies bench
	$(PYTHON) tests/bench/bench.py $(if $(filter 1,$(QUICK)),--quick) $(PARTS)
bench-repair: all
	packaging/install-dependencies bench
	$(PYTHON) tests/bench/repair.py

.PHONY: demo
demo:
	packaging/install-dependencies demo
	$(MAKE) --no-print-directory all
	$(PYTHON) tests/nm/demo.py
# The same as a plot, docs/demo.svg.
.PHONY: demo-plot
demo-plot:
	packaging/install-dependencies plot
	$(MAKE) --no-print-directory all
	$(PYTHON) tests/nm/demo_plot.py
# A screenshot of a real notification service, docs/notification.png.
.PHONY: notification-picture
notification-picture:
	packaging/install-dependencies picture
	$(MAKE) --no-print-directory all
	$(PYTHON) tests/nm/notification_picture.py

# --- packages ---

# All are built from the tarball of `make dist`, and take their version from NEWS.md.
.PHONY: dist deb rpm arch
dist:
	@packaging/dist $(VERSION)
deb:
	packaging/install-dependencies deb
	packaging/deb/build $(VERSION)
rpm:
	packaging/install-dependencies rpm
	packaging/rpm/build $(VERSION)
arch:
	packaging/install-dependencies arch
	packaging/arch/build $(VERSION)

# --- upkeep ---

C_FILES = $(wildcard plugin/*/*.[ch] dispatcher/*.[ch] tests/*/*.[ch])

.PHONY: format lint
format:
	$(CLANG_FORMAT) -i $(C_FILES)
lint:
	@packaging/lint $(C_FILES)

.PHONY: clean
clean:
	rm -rf $(filter-out build/vm build/chroot,$(wildcard build/*))

.PHONY: help
help:
	@echo 'all            build the programs into $(BUILD)/'
	@echo 'install        install under DESTDIR; starts and enables nothing'
	@echo 'uninstall      remove what install put there'
	@echo 'check          install what the tests need, then run those that find the most: a quarter of an hour (root)'
	@echo 'check-full     the same with every suite, valgrind and both Debian releases: an hour (root)'
	@echo 'check-unit     values, parsing, policy, difference: no privileges'
	@echo 'check-sanitizers, check-valgrind  find misuse of memory, also with the inputs found by fuzzing (root)'
	@echo 'check-arch     packages and unit tests for i386, arm64 and s390x, and Debian 12 and 13, in chroots (root)'
	@echo 'check-make     what make installs, and how the tests are run'
	@echo 'check-kernel   against the real kernel, in network namespaces (root)'
	@echo 'check-nm       a real NetworkManager and OpenVPN in namespaces (root)'
	@echo 'check-attacks  the cases a kill switch has to withstand (root)'
	@echo 'attacks        the same cases with other kill switches for comparison; writes docs/attacks.md (root)'
	@echo 'check-vm       a whole Debian in a virtual machine (root)'
	@echo 'vm             a shell in that machine, with the package installed and the uplink watched (root)'
	@echo 'mutate         plant faults in the code, one at a time, and check that the tests notice (root); MUTATE=... chooses'
	@echo 'bench          what an event, a packet, a lost tunnel and other programs cost; writes docs/performance.md (root)'
	@echo 'bench-repair   how fast changes by other programs are repaired (root, systemd-nspawn)'
	@echo 'fuzz           fuzz each parser for FUZZ_SECONDS'
	@echo 'demo           show the main job on this machine, without touching its network'
	@echo 'demo-plot      draw docs/demo.svg: packets on the wire while the VPN is killed, measured now (root)'
	@echo 'notification-picture  draw docs/notification.png, with a notification service on an X server of its own (root)'
	@echo 'dist           the source tarball, into build/dist/; reproducible'
	@echo 'deb, rpm, arch the package, into build/deb/, build/rpm/, build/arch/'
	@echo 'format, lint   clang-format; both compilers with warnings as errors, and the other linters'
	@echo 'clean          remove build/ except for the cached machine images and chroots'
	@echo 'Variables: PREFIX DESTDIR SYSCONFDIR CC CFLAGS V=1 WERROR=1 SANITIZE=address,undefined FAULTS=1'

-include $(wildcard $(BUILD)/plugin/*/*.d $(BUILD)/dispatcher/*.d $(BUILD)/tests/*/*.d)
