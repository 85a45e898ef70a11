/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Host names of VPN servers to addresses, by the system's resolver, within a
 * time limit.
 */
#pragma once

#include <glib.h>

/*
 * Resolves @hosts (of char*) side by side within @timeout_ms milliseconds and
 * adds them to @answers (ks-answers.h). Returns whether any answer is news. A name
 * without an answer is not an error: the last good answers stay.
 */
gboolean ks_resolve_hosts (const GPtrArray *hosts, guint timeout_ms, GHashTable *answers);
