/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Detects whether SELinux keeps NetworkManager's events from us. A policy that
 * does not know our dispatcher program labels it as a library, which
 * NetworkManager's domain may not execute: no event arrives, and nothing of ours
 * runs that could report it. The units are not affected.
 */
#pragma once

#include <glib.h>

/*
 * A warning about @program if the policy is enforced, according to the kernel's
 * file @enforce, and the program has a label that no service may execute; NULL
 * if it can be executed, or nothing tells (transfer full). It shows the commands
 * that allow it, with the policy @module. @enforce and @program may be NULL.
 */
char *ks_selinux_warning (const char *enforce, const char *program, const char *module);
/* Whether no confined service may execute a file with this security context, "user:role:type:level". */
gboolean ks_selinux_is_no_program (const char *context);
