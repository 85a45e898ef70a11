/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SELinux, where it keeps NetworkManager from telling us anything. A policy
 * that does not know our dispatcher program gives it the label of a library,
 * which NetworkManager's domain may not run: no event arrives, and nothing of
 * ours runs that could say so. The units are not affected.
 */
#pragma once

#include <glib.h>

/*
 * The warning about @program when the policy is enforced, by the kernel's file
 * @enforce, and the program has a label that no service may run; NULL when it
 * can be run, or there is nothing that tells (transfer full). Each path may be
 * NULL.
 */
char *ks_selinux_warning (const char *enforce, const char *program);
/* Whether no confined service may run a file with this security context, "user:role:type:level". */
gboolean ks_selinux_is_no_program (const char *context);
