/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the C tests share: cmocka with what it needs before it, a directory of
 * a test's own, profiles in it, and short spellings of values.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <glib.h>
#include <string.h>

#include "base/ks-paths.h"
#include "input/ks-profile-read.h"

/*
 * Fails the test, but says that something only took too long (tests/run-cmocka): it is tried once more. Not for
 * anything that got out or was left behind.
 */
#define ks_test_fail_late(format, ...) fail_msg ("took too long: " format, ##__VA_ARGS__)
/* The same unless @took_ms is at most @limit_ms. */
#define ks_test_assert_in_time(took_ms, limit_ms) \
  do { \
    gint64 ks_test_took = (took_ms); \
\
    if (ks_test_took > (limit_ms)) \
      ks_test_fail_late ("%d ms and not at most %d", (int) ks_test_took, (int) (limit_ms)); \
  } while (0)

/* --- values --- */

/* The prefix that @text spells; the test fails when it spells none. */
KsPrefix ks_test_prefix (const char *text);
/* An array of KsPrefix from words between spaces (transfer full). */
GArray *ks_test_prefixes (const char *words);
/* The same, as text in one line (transfer full). */
char *ks_test_format_prefixes (const GArray *prefixes);
/* A new array for GErrors (transfer full). */
GPtrArray *ks_test_errors_new (void);
/* The messages of an array of GError, one a line (transfer full). */
char *ks_test_format_errors (const GPtrArray *errors);

/* --- a directory of the test's own --- */

typedef struct {
  char *path;
} KsTestDirectory;

KsTestDirectory *ks_test_directory_new (void);
/* Removes it with everything in it. */
void ks_test_directory_free (KsTestDirectory *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsTestDirectory, ks_test_directory_free)
/* The path of @name in it, which may have slashes (transfer full). */
char *ks_test_path (const KsTestDirectory *self, const char *name);
/* Writes @name with mode 0600, and the directories above it. Returns its path (transfer full). */
char *ks_test_write (const KsTestDirectory *self, const char *name, const char *text);
/* As ks_test_write(), with any bytes. */
char *ks_test_write_bytes (const KsTestDirectory *self, const char *name, const void *bytes, gsize length);
/* Sets the modification time of @name: seconds since the epoch. */
void ks_test_set_time (const KsTestDirectory *self, const char *name, gint64 seconds);

/* --- profiles --- */

/* UUIDs that are easy to tell apart: 11111111-..., 22222222-... */
#define KS_TEST_UUID_1 "11111111-1111-4111-8111-111111111111"
#define KS_TEST_UUID_2 "22222222-2222-4222-8222-222222222222"
#define KS_TEST_UUID_3 "33333333-3333-4333-8333-333333333333"

/* A keyfile of a WireGuard profile; @connection and @more are further lines, each with a newline (transfer full). */
char *ks_test_wireguard (const char *uuid, const char *connection, const char *more);
/* A keyfile of a plugin VPN's profile; @data is the lines of [vpn] besides service-type (transfer full). */
char *ks_test_openvpn (const char *uuid, const char *connection, const char *data);

/* --- a whole machine's files --- */

/* Files as on a host, in a directory: "config", "etc/", "run/", "lib/" for profiles, "nm/" for NetworkManager's
 * configuration, "state/state", "runtime/", "cmdline", "boot_id", "zones/". */
typedef struct {
  KsTestDirectory *directory;
  KsProfileDirectory profiles[4];
  const char *zones[2];
  KsPaths paths;
  GPtrArray *strings; /* what paths point to */
} KsTestHost;

/* A host without profiles, in its first boot. */
KsTestHost *ks_test_host_new (void);
void ks_test_host_free (KsTestHost *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsTestHost, ks_test_host_free)
/* Writes a file of the host. */
void ks_test_host_write (const KsTestHost *self, const char *name, const char *text);
/* Removes one. */
void ks_test_host_remove (const KsTestHost *self, const char *name);
