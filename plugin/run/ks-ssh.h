/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The SSH connection that a command is run from.
 */
#pragma once

#include "kernel/ks-connections.h"

/*
 * Parses SSH_CONNECTION, "CLIENT PORT SERVER PORT", as ssh(1) describes it.
 * FALSE, with @out untouched, for anything else.
 */
gboolean ks_ssh_parse (const char *text, KsConnection *out);

/*
 * The connection that this process was started from: according to its own
 * environment or, since sudo(8) removes the variable, to that of its parent
 * processes, as far as they can be read. FALSE if there is none.
 */
gboolean ks_ssh_find (KsConnection *out);
