/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Users, without asking anything that can wait. The C library's own look-ups
 * ask whatever /etc/nsswitch.conf names: LDAP, sssd or systemd-userdb, which
 * may wait for a network that is not up yet, while nothing is blocked.
 */
#pragma once

#include <glib.h>

/*
 * From now on this process looks up users, groups, services and protocols in
 * files only, libraries included: libnftables asks for a user of the name "0"
 * when it reads `meta skuid 0`. Host names are not affected. To be called first
 * in main(), before there are threads.
 */
void ks_user_use_files (void);

/* Where users are looked for; NULL at the end. */
extern const char *const ks_user_files[];

/*
 * Finds the user @name in /etc/passwd, then in /usr/lib/passwd, where image-based
 * systems keep the users of their packages (nss-altfiles). Returns FALSE, and
 * leaves *@uid alone, if neither file has it. Not thread-safe.
 */
gboolean ks_user_find_uid (const char *name, guint32 *uid);
