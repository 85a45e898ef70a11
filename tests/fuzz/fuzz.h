/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A fuzz target is one function in a file of its own, fuzz-NAME.c. libFuzzer
 * calls it by its own name for it (KS_LIBFUZZER), test-corpora.c by ours. What
 * it finds wrong it says with g_assert().
 */
#pragma once

#include <glib.h>
#include <stddef.h>
#include <stdint.h>

#ifdef KS_LIBFUZZER
#define KS_FUZZ_ENTRY(function) \
  int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size); \
  int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size) \
  { \
    function (data, size); \
    return 0; \
  }
#else
#define KS_FUZZ_ENTRY(function)
#endif

typedef void (*KsFuzzFunc) (const uint8_t *data, size_t size);

void fuzz_bus_message (const uint8_t *data, size_t size);
void fuzz_configuration (const uint8_t *data, size_t size);
void fuzz_endpoint (const uint8_t *data, size_t size);
void fuzz_event (const uint8_t *data, size_t size);
void fuzz_json_read (const uint8_t *data, size_t size);
void fuzz_profile (const uint8_t *data, size_t size);
void fuzz_profile_codec (const uint8_t *data, size_t size);
void fuzz_route_message (const uint8_t *data, size_t size);
void fuzz_rule_message (const uint8_t *data, size_t size);
void fuzz_state (const uint8_t *data, size_t size);

/* Helpers of fuzz.c. */

/* Writes the bytes to @name in a directory of this process, in memory where that can be had. Returns the path. */
const char *fuzz_file (const char *name, const uint8_t *data, size_t size);
/* That directory. */
const char *fuzz_directory (void);
/* Fails unless each message is text that is fit for a terminal (of GError). */
void fuzz_check_messages (const GPtrArray *errors);
/* A message of netlink with the bytes behind its header, exactly as long (transfer full, g_free()). */
struct nlmsghdr *fuzz_message (int type, const uint8_t *data, size_t size);
