/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The summary: what every user may know about the kill switch, which is names
 * and states but nothing of a profile's contents; and the world-readable file in
 * which each run leaves it (run/ks-summary.h). It only informs and is never an
 * input of the policy: nothing that blocks depends on it.
 */
#pragma once

#include "base/ks-paths.h"

/* The version of the file, not of `status --json`. Files with another version are not read. */
#define KS_SUMMARY_VERSION 1

typedef struct {
  char *id;
  char *uuid; /* nullable: a section, or a file without one */
  char *type; /* connection.type, or "section" */
  char *mode; /* ks_mode_format() */
  char *reason; /* ks_profile_format_reason() */
  char *tunnel; /* nullable: the device, while it is up */
  GPtrArray *more_tunnels; /* of char*: further ones of a section whose Interface= is a pattern */
  char *inside; /* nullable: the device of the VPN that carries this one */
  gboolean has_server; /* an address of its server is known */
} KsSummaryProfile;

typedef struct _KsSummary {
  char *state; /* "off", "released", "protected", "blocking", "held", "incomplete", "unknown" */
  gint64 since; /* when that state began, in seconds of CLOCK_BOOTTIME; -1 if unknown */
  gboolean networkmanager; /* it answered, or was not needed */
  char *lan; /* nullable while not armed: ks_lan_format() */
  char *dns; /* likewise: ks_dns_format() */
  gboolean guard; /* wanted, and not known to be missing */
  guint warnings; /* their number; the texts are shown to root */
  guint errors;
  GPtrArray *profiles; /* of KsSummaryProfile: the armed ones */
} KsSummary;

/* An empty summary: no state, which the caller has to set, no time, no profiles (transfer full). */
KsSummary *ks_summary_new_empty (void);
void ks_summary_free (KsSummary *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsSummary, ks_summary_free)

/* Adds an empty profile for the caller to fill in (transfer none). */
KsSummaryProfile *ks_summary_add_profile (KsSummary *self);
/* The profile with @uuid, or the section named @id if @uuid is NULL; NULL for none. */
const KsSummaryProfile *ks_summary_find (const KsSummary *self, const char *uuid, const char *id);
/* True in the states in which something is blocked, or should be. */
gboolean ks_summary_is_armed (const KsSummary *self);

/* The file's text, one JSON object and a newline (transfer full). */
char *ks_summary_format (const KsSummary *self);
/* NULL with KS_ERROR_INVALID (transfer full). */
KsSummary *ks_summary_parse (const char *text, GError **error);

/* The value of "since" in a text by ks_summary_format(); -1 for none, and any number for another text. */
gint64 ks_summary_find_since (const char *text);

/* What the last run left. NULL with KS_ERROR_IO if there is no such file, KS_ERROR_INVALID (transfer full). */
KsSummary *ks_summary_read (const KsPaths *paths, GError **error);
/* The same as text, whatever it is; NULL, and errno set, if it cannot be read (transfer full). */
char *ks_summary_read_text (const KsPaths *paths);

/* Seconds since boot, including the time that the host was suspended. */
gint64 ks_summary_now (void);
