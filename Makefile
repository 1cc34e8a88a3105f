# danelaw: one Makefile, no autotools. V=1 shows commands, SAN=1 builds with
# ASan and UBSan, DEV=1 turns warnings into errors (CI does).
CC ?= cc
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
DESTDIR ?=
V ?= 0
SAN ?= 0
DEV ?= 0

PKGS = ldns libunbound libconfuse jansson libcurl openssl zlib expat
WARN := -Wall -Wextra -Wshadow -Wconversion -Wmissing-prototypes \
	-Wstrict-prototypes -Wvla -Wformat=2 -Wswitch-enum -Wundef \
	-Wpointer-arith -Wwrite-strings
# gcc only; texts for people may be cut.
WARN += $(if $(findstring clang,$(shell $(CC) --version)),,\
	-Wno-format-truncation)
CFLAGS ?= -O2 -g
# What this compiler, on this machine, knows of these.
try = $(shell $(CC) -Werror $(1) -c -x c -o /dev/null /dev/null 2>/dev/null \
	&& echo "$(1)")
HARDEN := -fPIE -fstack-protector-strong -U_FORTIFY_SOURCE \
	-D_FORTIFY_SOURCE=3 $(foreach f,-fstack-clash-protection \
	-fcf-protection=full -mbranch-protection=standard \
	-ftrivial-auto-var-init=zero,$(call try,$(f)))
LDHARDEN = -pie -Wl,-z,relro,-z,now,-z,noexecstack

ifeq ($(DEV),1)
WARN += -Werror
endif
ifeq ($(SAN),1)
BUILD ?= build/san
HARDEN = -fsanitize=address,undefined -fno-omit-frame-pointer \
	-fno-sanitize-recover=undefined
LDHARDEN = -fsanitize=address,undefined
else
BUILD ?= build/obj
endif

PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
ALL_CPPFLAGS = -I. -D_GNU_SOURCE -include hook/base/banned.h $(CPPFLAGS)
ALL_CFLAGS = -std=gnu11 $(WARN) $(HARDEN) $(CFLAGS) $(PKG_CFLAGS)
LIBS := $(shell pkg-config --libs $(PKGS) 2>/dev/null)

SRC := $(sort $(wildcard hook/*.c hook/base/*.c hook/check/*.c hook/dns/*.c \
	hook/tls/*.c state/*.c providers/*.c))
OBJ := $(SRC:%.c=$(BUILD)/%.o)
LIBOBJ := $(filter-out $(BUILD)/hook/main.o,$(OBJ))
UNIT := $(sort $(wildcard tests/unit/test_*.c))
UNITBIN := $(UNIT:tests/unit/%.c=$(BUILD)/tests/%)

ifeq ($(V),1)
Q =
say = @:
else
Q = @
say = @printf '  %-7s %s\n'
endif

.PHONY: all demo check check-unit check-lab bench lint install uninstall \
	deb-deps clean unit-bins sim-bin sim mutants static coverage valgrind \
	fuzz fuzz-bins every-call
.DELETE_ON_ERROR:

all: danelaw

danelaw: $(BUILD)/danelaw
	$(Q)cp -f $< $@

$(BUILD)/danelaw: $(OBJ)
	$(say) LD $@
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $(LDHARDEN) -o $@ $^ $(LIBS)

$(BUILD)/libdanelaw.a: $(LIBOBJ)
	$(say) AR $@
	$(Q)rm -f $@ && ar crs $@ $^

$(BUILD)/%.o: %.c Makefile
	$(say) CC $<
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/tests/%: tests/unit/%.c $(BUILD)/libdanelaw.a
	$(say) TEST $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP $(LDFLAGS) $(LDHARDEN) \
		-o $@ $< $(BUILD)/libdanelaw.a -lcmocka $(LIBS)

-include $(OBJ:.o=.d) $(UNITBIN:%=%.d)

deb-deps:
	$(Q)tests/lab/deb-deps

# The tests need the packages first, so they run in a second make that sees
# what pkg-config says then.
check: deb-deps
	$(Q)tests/run all

check-unit:
	$(Q)tests/run unit

check-lab:
	$(Q)tests/run lab

unit-bins: $(UNITBIN)

sim-bin: $(BUILD)/tests/sim

# Fuzz targets: a library of our own code for libFuzzer, in a tree of its own.
# make fuzz T=60 runs each for that many seconds.
T ?= 60
FUZZBUILD ?= build/fuzz
FUZZ := $(patsubst tests/fuzz/%.c,$(FUZZBUILD)/tests/%,\
	$(sort $(wildcard tests/fuzz/fuzz_*.c)))

fuzz-bins:
	$(Q)$(MAKE) --no-print-directory CC=clang BUILD=$(FUZZBUILD) SAN=1 \
		CFLAGS="-O1 -g -fsanitize=fuzzer-no-link" $(FUZZ)

ifeq ($(BUILD),$(FUZZBUILD))
$(FUZZBUILD)/tests/fuzz_%: tests/fuzz/fuzz_%.c tests/fuzz/fuzz.h \
		$(BUILD)/libdanelaw.a
	$(say) FUZZ $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(LDFLAGS) $(LDHARDEN) \
		-fsanitize=fuzzer -o $@ $< $(BUILD)/libdanelaw.a $(LIBS)
endif

fuzz: fuzz-bins
	$(Q)tests/fuzz/run $(T)

# The simulator is the program's own objects, linked so that their system calls
# end in a world of its own. -O2: a life is a few milliseconds.
SIMSRC := $(sort $(wildcard tests/sim/*.c))
SIMOBJ := $(SIMSRC:tests/sim/%.c=$(BUILD)/sim/%.o)

$(BUILD)/sim/%.o: tests/sim/%.c Makefile
	$(say) CC $<
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/tests/sim: $(SIMOBJ) $(BUILD)/libdanelaw.a tests/sim/wraps_disk \
		tests/sim/wraps_program
	$(say) LD $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) $(LDHARDEN) @tests/sim/wraps_disk \
		@tests/sim/wraps_program -o $@ $(SIMOBJ) \
		$(BUILD)/libdanelaw.a $(LIBS)

-include $(SIMOBJ:.o=.d)

# make sim SEEDS=20000 [FROM=1], or one life told: make sim SEED=x [TRACE=1]
SEEDS ?= 20000
FROM ?= 1
sim:
	$(Q)tests/sim/run "$(SEEDS)" "$(FROM)" "$(SEED)" "$(TRACE)"

# Deliberate breaches; each must be noticed. make mutants [M=pattern]
mutants:
	$(Q)tests/mutants/run $(M)

# Killed, and failing, at every call of the program that writes.
every-call: deb-deps
	$(Q)LAB_LIMIT=1800 CALL_STRIDE=1 tests/run lab every_call

static:
	$(Q)tests/static/run

coverage:
	$(Q)tests/coverage

valgrind:
	$(Q)tests/valgrind

demo: deb-deps
	$(Q)$(MAKE) --no-print-directory all
	$(Q)tests/lab/demo

bench: deb-deps
	$(Q)$(MAKE) --no-print-directory all
	$(Q)tests/bench/run

lint:
	$(Q)tests/lint

install: all
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/share/man/man8 \
		$(DESTDIR)$(PREFIX)/share/man/man5 \
		$(DESTDIR)$(PREFIX)/share/doc/danelaw/examples
	install -m 0755 danelaw $(DESTDIR)$(PREFIX)/sbin/danelaw
	install -m 0644 hook/man/danelaw.8 hook/man/danelaw-check.8 \
		$(DESTDIR)$(PREFIX)/share/man/man8/
	install -m 0644 hook/man/danelaw.conf.5 hook/man/danelaw-providers.5 \
		$(DESTDIR)$(PREFIX)/share/man/man5/
	install -m 0644 hook/THREATS.md $(DESTDIR)$(PREFIX)/share/doc/danelaw/
	install -m 0644 $(filter-out examples/exec,$(wildcard examples/*)) \
		$(DESTDIR)$(PREFIX)/share/doc/danelaw/examples/
	install -d $(DESTDIR)$(PREFIX)/share/doc/danelaw/examples/exec
	install -m 0755 $(filter-out %/__pycache__,$(wildcard examples/exec/*)) \
		$(DESTDIR)$(PREFIX)/share/doc/danelaw/examples/exec/

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/sbin/danelaw \
		$(DESTDIR)$(PREFIX)/share/man/man8/danelaw.8 \
		$(DESTDIR)$(PREFIX)/share/man/man8/danelaw-check.8 \
		$(DESTDIR)$(PREFIX)/share/man/man5/danelaw.conf.5 \
		$(DESTDIR)$(PREFIX)/share/man/man5/danelaw-providers.5
	rm -rf $(DESTDIR)$(PREFIX)/share/doc/danelaw

clean:
	rm -rf build danelaw
