/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Detects whether SELinux keeps NetworkManager's events from us. Debian 12's
 * policy labels our dispatcher program as a library, which NetworkManager's domain
 * may not execute: no event arrives, and nothing of ours runs that could report
 * it. Under the reference policy and Debian 13's, the program runs, but in that
 * domain, which may not configure nftables. The units are not affected.
 */
#pragma once

#include <glib.h>

/*
 * A warning about @program if the policy is enforced, according to the kernel's
 * file @enforce, and the program has a label that no service may execute, or one
 * with which it stays in NetworkManager's domain when @nm_dispatcher runs it; NULL
 * if it works, or nothing tells (transfer full). It shows the commands
 * that allow it, with the policy @module. @enforce, @program and @nm_dispatcher may be NULL.
 */
char *ks_selinux_warning (const char *enforce, const char *program, const char *nm_dispatcher, const char *module);
/* Whether no confined service may execute a file with this security context, "user:role:type:level". */
gboolean ks_selinux_is_no_program (const char *context);
