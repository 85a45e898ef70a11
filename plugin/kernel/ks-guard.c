/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Installs, removes and compares the guard.
 *
 * A record in /run holds what was installed last: its text, and a digest of what
 * the kernel held right afterwards. The kernel's present guard is compared with
 * the digest, and the present policy's guard with the text, independently. So an
 * `nft flush` or a deleted rule is noticed even while NetworkManager is silent
 * and the policy, which may lack a port in use, is not used; the tampered guard
 * is then replaced by exactly the one that was there. nftables' text is never
 * parsed. While nothing in nftables has changed at all, the guard is not even
 * read (ks-guard-memory.c).
 *
 * Another program may change the guard between a transaction and the reading
 * right after it. This is seen from the ruleset's generation number, which every
 * transaction on the host increments, and from the kernel's notifications, which
 * tell which transactions were about the guard. After a foreign one, the guard
 * is installed again.
 *
 * A replacement is one transaction: meanwhile no packet passes that neither
 * guard lets through. The kernel may drop a packet that should pass, since the
 * new chains are hooked in, with their policy, a moment before their rules take
 * effect.
 */
#include "kernel/ks-guard.h"

#include <glib/gstdio.h>
#include <string.h>

#include "base/ks-error.h"
#include "kernel/ks-fault.h"
#include "kernel/ks-guard-libnftables.h"
#include "kernel/ks-guard-memory.h"
#include "kernel/ks-guard-readback.h"
#include "kernel/ks-guard-watch.h"
#include "kernel/ks-netfilter-socket.h"

#define REMOVAL "table inet " KS_GUARD_TABLE "\ndelete table inet " KS_GUARD_TABLE "\n"

/* How often to install a guard that another program keeps changing. */
#define INSTALL_TRIES 5

/* --- what was installed --- */

/* The file is "SHA-256 OF THE TEXT, SPACE, DIGEST OF THE KERNEL'S GUARD, NEWLINE, TEXT". */
typedef struct {
  char *text; /* NULL: nothing is known */
  char *digest; /* of the kernel's guard */
} Record;

/* A record that could not be written; valid for this process. */
static char *unwritten;

static void
record_clear (Record *self)
{
  g_free (self->text);
  g_free (self->digest);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Record, record_clear)

/* Rejects the record if another program has written the file. */
static void
parse_record (const char *contents, Record *out)
{
  g_auto (GStrv) parts = g_strsplit (contents, "\n", 2);
  g_auto (GStrv) digests = g_strsplit (parts[0] ? parts[0] : "", " ", 2);
  g_autofree char *actual = NULL;

  if (g_strv_length (parts) != 2 || g_strv_length (digests) != 2)
    return;
  actual = g_compute_checksum_for_string (G_CHECKSUM_SHA256, parts[1], -1);
  if (strcmp (actual, digests[0]) != 0)
    return;
  out->text = g_strdup (parts[1]);
  out->digest = g_strdup (digests[1]);
}

/* What was installed last, as far as known, into @out, zeroed by the caller. */
static void
read_record (const char *state_path, Record *out)
{
  g_autofree char *contents = NULL;

  if (unwritten)
    parse_record (unwritten, out);
  else if (state_path && g_file_get_contents (state_path, &contents, NULL, NULL))
    parse_record (contents, out);
}

static void
forget (const char *state_path)
{
  g_clear_pointer (&unwritten, g_free);
  if (!state_path)
    return;
  g_unlink (state_path);
  ks_guard_memory_forget (state_path);
}

static gboolean
remember (const char *text, const KsGuardReadback *kernel, const char *state_path, GError **error)
{
  g_autofree char *text_digest = g_compute_checksum_for_string (G_CHECKSUM_SHA256, text, -1);
  g_autofree char *contents = g_strdup_printf ("%s %s\n%s", text_digest, kernel->digest, text);
  g_autoptr (GError) failure = NULL;

  g_clear_pointer (&unwritten, g_free);
  if (!state_path
      || g_file_set_contents_full (state_path, contents, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600, &failure))
    return TRUE;
  g_unlink (state_path);
  unwritten = g_steal_pointer (&contents);
  g_set_error (error, KS_ERROR, KS_ERROR_IO, "the guard is in place, but this cannot be recorded: %s",
               failure->message);
  return FALSE;
}

static KsGuardState
compare (const char *wanted, const Record *installed, const KsGuardReadback *kernel)
{
  if (!kernel->present)
    return KS_GUARD_ABSENT;
  if (!installed->text)
    return KS_GUARD_UNVERIFIED;
  if (strcmp (installed->digest, kernel->digest) != 0)
    return KS_GUARD_TAMPERED;
  return g_strcmp0 (installed->text, wanted) == 0 ? KS_GUARD_IN_PLACE : KS_GUARD_OUTDATED;
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
static struct nft_ctx *
open_context (const KsLibnftables *library)
{
  struct nft_ctx *context = ks_fault_point () == 0 ? library->nft_ctx_new (NFT_CTX_DEFAULT) : NULL;

  if (context && ks_fault_point () == 0 && library->nft_ctx_buffer_error (context) == 0 && ks_fault_point () == 0
      && library->nft_ctx_buffer_output (context) == 0)
    return context;
  if (context)
    library->nft_ctx_free (context);
  return NULL;
}

static void
free_context (gpointer context)
{
  const KsLibnftables *library = ks_guard_libnftables (NULL);

  if (library)
    library->nft_ctx_free (context);
}

/* Runs @text as one transaction: all of it or nothing. */
static gboolean
run (const char *text, guint *changes, GError **error)
{
  g_autoptr (GError) missing = NULL;
  const KsLibnftables *library = ks_guard_libnftables (&missing);
  struct nft_ctx *context;
  int fault;
  gboolean ok = FALSE;

  if (!library) {
    /* not "unsupported", which means that the kernel cannot have a guard: this one lacks a feature it should have */
    g_set_error (error, KS_ERROR, KS_ERROR_KERNEL, "the guard cannot be changed: %s", missing->message);
    return FALSE;
  }
  context = open_context (library);
  if (!context) {
    g_set_error (error, KS_ERROR, KS_ERROR_KERNEL, "cannot start libnftables");
    return FALSE;
  }
  fault = ks_fault_point ();
  if (fault)
    set_nft_error (error, g_strerror (fault));
  else if (ks_fault_refuses (text) || library->nft_run_cmd_from_buffer (context, text) != 0)
    set_nft_error (error, library->nft_ctx_get_error_buffer (context));
  else
    ok = TRUE;
  ks_netfilter_close_later (context, free_context);
  *changes += ok;
  return ok;
}

/* --- the three verbs --- */

/* Whether the guard is what it should be, if that can be told without reading it. */
static gboolean
is_known_in_place (const char *wanted, const Record *installed, const char *state_path)
{
  g_autofree char *digest = NULL;

  if (!wanted || !installed->text || strcmp (installed->text, wanted) != 0)
    return FALSE;
  digest = ks_guard_memory_recall (state_path);
  return digest && g_strcmp0 (digest, installed->digest) == 0;
}

/* The text that should be installed (transfer full), NULL for none; what was installed goes into @installed. */
static char *
read_wanted (const KsPolicy *policy, gboolean hold, const char *state_path, Record *installed)
{
  read_record (state_path, installed);
  return hold && installed->text ? g_strdup (installed->text) : ks_guard_format (policy, NULL);
}

/* The generation after @generation, counted as the kernel does: it skips zero. */
static guint32
next_generation (guint32 generation)
{
  return generation == G_MAXUINT32 ? 1 : generation + 1;
}

/*
 * Installs @text once, replacing what was read into @now; @now is then what the
 * kernel holds. *@is_certain tells whether it is certain that no other program
 * has changed it in between.
 */
static gboolean
install_once (const char *text, KsGuardReadback *now, gboolean *is_certain, guint *changes, GError **error)
{
  guint32 expected = next_generation (now->generation);
  int watch = ks_guard_watch_open ();
  gboolean ok = run (text, changes, error) && ks_guard_readback (now, error);

  *is_certain =
    ok && now->present && (now->generation == expected || ks_guard_watch_count (watch, now->generation) == 1);
  if (watch >= 0)
    ks_netfilter_close_descriptor_later (watch);
  return ok;
}

/* Installs @text until it is certain. If @text is the guard of @policy, the counters keep their values. */
static gboolean
install (const char *text, const KsPolicy *policy, KsGuardReadback *now, guint *changes, GError **error)
{
  g_autofree char *current = ks_guard_format (policy, NULL);
  gboolean has_counters = g_strcmp0 (text, current) == 0;

  for (int i = 0; i < INSTALL_TRIES; i++) {
    g_autofree char *transaction = has_counters ? ks_guard_format (policy, &now->counters) : g_strdup (text);
    gboolean is_certain;

    if (!install_once (transaction, now, &is_certain, changes, error))
      return FALSE;
    if (is_certain)
      return TRUE;
  }
  g_set_error (error, KS_ERROR, KS_ERROR_KERNEL, "another program keeps changing nftables table inet %s",
               KS_GUARD_TABLE);
  return FALSE;
}

/* Removes the guard, if @kernel says that there is one. */
static gboolean
remove_present (const KsGuardReadback *kernel, const char *state_path, guint *changes, GError **error)
{
  if (kernel->present && !run (REMOVAL, changes, error))
    return FALSE;
  forget (state_path);
  return TRUE;
}

gboolean
ks_guard_apply (const KsPolicy *policy, gboolean hold, const char *state_path, KsGuardState *found, guint *changes,
                GError **error)
{
  g_auto (Record) installed = { 0 };
  g_auto (KsGuardReadback) kernel = { 0 };
  g_autofree char *wanted = NULL;
  g_autoptr (GError) failure = NULL;
  KsGuardState state = KS_GUARD_UNKNOWN;

  wanted = read_wanted (policy, hold, state_path, &installed);
  if (is_known_in_place (wanted, &installed, state_path))
    state = KS_GUARD_IN_PLACE;
  else if (ks_guard_readback (&kernel, &failure)) {
    state = compare (wanted, &installed, &kernel);
    ks_guard_memory_note (state_path, &kernel);
  }
  if (found)
    *found = state;
  if (state == KS_GUARD_UNKNOWN) {
    if (!wanted && g_error_matches (failure, KS_ERROR, KS_ERROR_UNSUPPORTED))
      return TRUE;
    g_propagate_error (error, g_steal_pointer (&failure));
    return FALSE;
  }
  if (state == KS_GUARD_IN_PLACE || (!wanted && hold))
    return TRUE;
  if (!wanted)
    return remove_present (&kernel, state_path, changes, error);
  if (!install (wanted, policy, &kernel, changes, error))
    return FALSE;
  ks_guard_memory_note (state_path, &kernel);
  return remember (wanted, &kernel, state_path, error);
}

gboolean
ks_guard_is_as_installed (const char *state_path)
{
  g_auto (Record) installed = { 0 };
  g_autofree char *digest = NULL;

  read_record (state_path, &installed);
  digest = installed.text ? ks_guard_memory_recall (state_path) : NULL;
  return digest && strcmp (digest, installed.digest) == 0;
}

gboolean
ks_guard_remove (const char *state_path, guint *changes, GError **error)
{
  g_auto (KsGuardReadback) kernel = { 0 };
  g_autoptr (GError) failure = NULL;

  if (ks_guard_readback (&kernel, &failure))
    return remove_present (&kernel, state_path, changes, error);
  if (g_error_matches (failure, KS_ERROR, KS_ERROR_UNSUPPORTED))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&failure));
  return FALSE;
}

KsGuardState
ks_guard_inspect (const KsPolicy *policy, gboolean hold, const char *state_path, KsGuardCounters *counters,
                  GError **error)
{
  g_auto (Record) installed = { 0 };
  g_auto (KsGuardReadback) kernel = { 0 };
  g_autofree char *wanted = read_wanted (policy, hold, state_path, &installed);
  g_autoptr (GError) failure = NULL;

  if (!ks_guard_readback (&kernel, &failure)) {
    if (g_error_matches (failure, KS_ERROR, KS_ERROR_UNSUPPORTED))
      return KS_GUARD_UNSUPPORTED;
    g_propagate_error (error, g_steal_pointer (&failure));
    return KS_GUARD_UNKNOWN;
  }
  if (counters)
    *counters = kernel.counters;
  return compare (wanted, &installed, &kernel);
}
