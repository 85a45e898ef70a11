/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Quoting for commands that are shown to users: a command pasted into a shell
 * must do what it says, whatever names it contains.
 */
#pragma once

#include <glib.h>

/* @word quoted for a shell, without quotes if it needs none (transfer full). */
char *ks_shell_word (const char *word);
/*
 * The arguments that name a profile to nmcli: its name @id; "id" and the name
 * where nmcli would take that for a keyword or an option; or "uuid" and @uuid
 * (nullable) where the name would not survive a terminal (transfer full).
 */
char *ks_shell_profile (const char *id, const char *uuid);
