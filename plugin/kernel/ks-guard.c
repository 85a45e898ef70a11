/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Installs, removes and compares the guard.
 *
 * "In place" is two digests that a file in /run remembers: of the text that
 * was installed, and of what the kernel held right after. Equal both mean that
 * neither the policy nor the kernel has changed since; anything else, a lost
 * file included, has the guard replaced. So nobody's `nft flush` or deleted
 * rule goes unnoticed, an unchanged guard costs less than a millisecond, and
 * nftables' text is never parsed.
 *
 * A replacement is one transaction: no packet passes meanwhile that neither
 * guard lets through. The kernel may drop one that should pass, since the new
 * chains are hooked in, with their policy, a moment before their rules count.
 */
#include "kernel/ks-guard.h"

#include <glib/gstdio.h>
#include <nftables/libnftables.h>
#include <string.h>

#include "base/ks-error.h"
#include "kernel/ks-fault.h"
#include "kernel/ks-guard-readback.h"

typedef struct nft_ctx NftContext;
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NftContext, nft_ctx_free)

#define REMOVAL "table inet " KS_GUARD_TABLE "\ndelete table inet " KS_GUARD_TABLE "\n"

/* --- what was installed --- */

static char *
format_state (const char *text, const char *digest)
{
  g_autofree char *text_digest = g_compute_checksum_for_string (G_CHECKSUM_SHA256, text, -1);

  return g_strdup_printf ("%s %s\n", text_digest, digest);
}

/* Whether @kernel is what was there after @text was installed. */
static gboolean
is_in_place (const char *text, const KsGuardReadback *kernel, const char *state_path)
{
  g_autofree char *expected = NULL;
  g_autofree char *remembered = NULL;

  if (!kernel->present || !g_file_get_contents (state_path, &remembered, NULL, NULL))
    return FALSE;
  expected = format_state (text, kernel->digest);
  return strcmp (expected, remembered) == 0;
}

/* A failure costs one replacement at the next event, no more: it is not one of the guard. */
static void
remember (const char *text, const KsGuardReadback *kernel, const char *state_path)
{
  g_autofree char *state = format_state (text, kernel->digest);

  if (!g_file_set_contents_full (state_path, state, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600, NULL))
    g_unlink (state_path);
}

/* --- libnftables --- */

static void
set_nft_error (GError **error, const char *text)
{
  g_auto (GStrv) lines = g_strsplit (text ? text : "", "\n", 2);
  g_autofree char *printable = ks_error_printable (lines[0] ? lines[0] : "");

  g_set_error (error, KS_ERROR, KS_ERROR_KERNEL, "nftables refused table inet %s: %s", KS_GUARD_TABLE,
               printable[0] ? printable : "no reason given");
}

/* A context that prints nothing. */
static NftContext *
open_context (void)
{
  g_autoptr (NftContext) context = NULL;

  if (ks_fault_point () != 0)
    return NULL;
  context = nft_ctx_new (NFT_CTX_DEFAULT);
  if (!context || ks_fault_point () != 0 || nft_ctx_buffer_error (context) != 0 || ks_fault_point () != 0
      || nft_ctx_buffer_output (context) != 0)
    return NULL;
  return g_steal_pointer (&context);
}

/* Runs @text as one transaction: all of it, or nothing. */
static gboolean
run (const char *text, guint *changes, GError **error)
{
  g_autoptr (NftContext) context = open_context ();
  int fault;

  if (!context) {
    g_set_error (error, KS_ERROR, KS_ERROR_KERNEL, "cannot start libnftables");
    return FALSE;
  }
  fault = ks_fault_point ();
  if (fault) {
    set_nft_error (error, g_strerror (fault));
    return FALSE;
  }
  if (nft_run_cmd_from_buffer (context, text) != 0) {
    set_nft_error (error, nft_ctx_get_error_buffer (context));
    return FALSE;
  }
  (*changes)++;
  return TRUE;
}

/* --- the three verbs --- */

gboolean
ks_guard_apply (const KsPolicy *policy, const char *state_path, guint *changes, GError **error)
{
  g_autofree char *text = ks_guard_format (policy, NULL);
  g_autofree char *transaction = NULL;
  g_auto (KsGuardReadback) before = { 0 };
  g_auto (KsGuardReadback) after = { 0 };

  if (!text)
    return ks_guard_remove (state_path, changes, error);
  if (!ks_guard_readback (&before, error))
    return FALSE;
  if (is_in_place (text, &before, state_path))
    return TRUE;

  transaction = ks_guard_format (policy, &before.counters);
  if (!run (transaction, changes, error) || !ks_guard_readback (&after, error))
    return FALSE;
  if (!after.present) {
    g_set_error (error, KS_ERROR, KS_ERROR_KERNEL, "table inet %s was deleted while it was installed", KS_GUARD_TABLE);
    return FALSE;
  }
  remember (text, &after, state_path);
  return TRUE;
}

gboolean
ks_guard_remove (const char *state_path, guint *changes, GError **error)
{
  g_auto (KsGuardReadback) kernel = { 0 };
  g_autoptr (GError) failure = NULL;

  if (!ks_guard_readback (&kernel, &failure)) {
    if (g_error_matches (failure, KS_ERROR, KS_ERROR_UNSUPPORTED))
      return TRUE;
    g_propagate_error (error, g_steal_pointer (&failure));
    return FALSE;
  }
  if (kernel.present && !run (REMOVAL, changes, error))
    return FALSE;
  g_unlink (state_path);
  return TRUE;
}

KsGuardState
ks_guard_inspect (const KsPolicy *policy, const char *state_path, KsGuardCounters *counters, GError **error)
{
  g_autofree char *text = ks_guard_format (policy, NULL);
  g_auto (KsGuardReadback) kernel = { 0 };
  g_autoptr (GError) failure = NULL;

  if (!ks_guard_readback (&kernel, &failure)) {
    if (g_error_matches (failure, KS_ERROR, KS_ERROR_UNSUPPORTED))
      return KS_GUARD_UNSUPPORTED;
    g_propagate_error (error, g_steal_pointer (&failure));
    return KS_GUARD_UNKNOWN;
  }
  if (counters)
    *counters = kernel.counters;
  if (!kernel.present)
    return KS_GUARD_ABSENT;
  return text && is_in_place (text, &kernel, state_path) ? KS_GUARD_IN_PLACE : KS_GUARD_DIFFERS;
}
