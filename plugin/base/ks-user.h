/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Looks up users without asking anything that may block. The C library's own
 * lookups ask whatever /etc/nsswitch.conf names: LDAP, sssd or systemd-userdb,
 * which may wait for a network that is not up yet, while nothing is blocked.
 */
#pragma once

#include <glib.h>

/*
 * From now on, this process looks up users, groups, services and protocols only
 * in files. This includes libraries: libnftables looks up a user named "0" when
 * it parses `meta skuid 0`. Host names are not affected. Call first in main(),
 * before there are threads.
 */
void ks_user_use_files (void);

/* The files that list users; ended by NULL. */
extern const char *const ks_user_files[];

/*
 * Finds the user @name in /etc/passwd, then in /usr/lib/passwd, where image-based
 * systems keep the users of their packages (nss-altfiles). Returns FALSE, and
 * leaves *@uid alone, if neither file has it. Not thread-safe.
 */
gboolean ks_user_find_uid (const char *name, guint32 *uid);
