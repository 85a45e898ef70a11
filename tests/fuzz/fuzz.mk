# Fuzzing with libFuzzer: `make fuzz` runs each target for FUZZ_SECONDS, `make fuzz-NAME` one of them;
# `make check-sanitizers` replays tests/fuzz/corpus/ as well. New inputs go to $(FUZZ_BUILD)/corpus/.
#
# A finding is left in $(FUZZ_BUILD)/found/; once it is fixed, it belongs into tests/fuzz/corpus/NAME/.

FUZZ_SECONDS ?= 20
FUZZ_BUILD   ?= build/fuzz
FUZZ_TARGETS  = $(patsubst tests/fuzz/fuzz-%.c,%,$(wildcard tests/fuzz/fuzz-*.c))
FUZZ_FLAGS    = -std=gnu11 -O1 -g -fno-omit-frame-pointer -fno-sanitize-recover=all
FUZZ_OBJECTS  = $(PLUGIN_SOURCES:%.c=$(FUZZ_BUILD)/%.o) $(FUZZ_BUILD)/tests/fuzz/fuzz.o

$(FUZZ_BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,FUZZ-CC,$<)$(CLANG) $(ALL_CPPFLAGS) -DKS_LIBFUZZER $(WARNINGS) $(FUZZ_FLAGS) \
		-fsanitize=fuzzer-no-link,address,undefined -MMD -MP -c -o $@ $<

$(FUZZ_BUILD)/libkillswitch.a: $(FUZZ_OBJECTS)
	@rm -f $@
	$(call say,AR,$@)$(AR) rcs $@ $^

$(FUZZ_TARGETS:%=$(FUZZ_BUILD)/fuzz-%): $(FUZZ_BUILD)/fuzz-%: $(FUZZ_BUILD)/tests/fuzz/fuzz-%.o $(FUZZ_BUILD)/libkillswitch.a
	$(call say,LINK,$@)$(CLANG) $(FUZZ_FLAGS) -fsanitize=fuzzer,address,undefined -o $@ $^ $(PACKAGE_LIBS)

.PHONY: fuzz $(FUZZ_TARGETS:%=fuzz-%)
fuzz: $(FUZZ_TARGETS:%=fuzz-%)
$(FUZZ_TARGETS:%=fuzz-%): fuzz-%: $(FUZZ_BUILD)/fuzz-%
	@mkdir -p $(FUZZ_BUILD)/corpus/$* $(FUZZ_BUILD)/found
	$(FUZZ_BUILD)/fuzz-$* -max_total_time=$(FUZZ_SECONDS) -timeout=10 -max_len=4096 -verbosity=0 -print_final_stats=1 \
		$(patsubst %,-dict=%,$(wildcard tests/fuzz/$*.dict)) -artifact_prefix=$(FUZZ_BUILD)/found/$*- \
		$(FUZZ_BUILD)/corpus/$* tests/fuzz/corpus/$*

# The replay is a cmocka program like the others, in the sanitizers' build; the targets come before the library.
CORPORA_TEST    = $(BUILD)/tests/fuzz/test-corpora
CORPORA_OBJECTS = $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/fuzz/*.c))
$(CORPORA_TEST): $(CORPORA_OBJECTS) $(TEST_SUPPORT) $(PLUGIN)
	$(call say,LINK,$@)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(PACKAGE_LIBS) $(TEST_LIBS)

-include $(FUZZ_OBJECTS:.o=.d) $(wildcard $(FUZZ_BUILD)/tests/fuzz/*.d)
