/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Switching the kill switch of one profile on and off, for the commands
 * `enable` and `disable`: through NetworkManager, then waiting until it is in
 * force.
 */
#pragma once

#include "run/ks-choice.h"
#include "run/ks-summary.h"

typedef enum {
  KS_SWITCH_STRICT, /* armed from now on */
  KS_SWITCH_SESSION, /* armed while connected, and until disconnected on purpose */
  KS_SWITCH_OFF,
} KsSwitch;

/*
 * The setting that @profile, one of @choice's and a profile of
 * NetworkManager's, gets by @action. @paths tells which zones firewalld has.
 */
KsSetting ks_switch_setting (const KsChoice *choice, const KsProfile *profile, KsSwitch action, const KsPaths *paths);

/*
 * Whether arming @profile would cut off the SSH connection that this process
 * was started in; *@peer is then where it comes from (transfer full). What the
 * kernel cannot be asked for is taken for no.
 */
gboolean ks_switch_cuts_off (const KsChoice *choice, const KsProfile *profile, char **peer);

/*
 * Whether @summary shows @action done for @profile, which is connected if
 * @is_up. What is not armed yet, a session that has not begun, shows nothing.
 */
gboolean ks_switch_is_done (const KsSummary *summary, const KsProfile *profile, KsSwitch action, gboolean is_up);

/*
 * Waits, for a user without root, until the run that NetworkManager's change of
 * the file has started is over and the kernel shows it. Returns what holds then
 * (transfer full); NULL when it has taken longer than @timeout_ms.
 */
KsSummary *
ks_switch_wait (const KsPaths *paths, const KsProfile *profile, KsSwitch action, gboolean is_up, guint timeout_ms);

/* What holds now, in one line without its end (transfer full). */
char *ks_switch_format (const KsSummary *summary, const KsProfile *profile, KsSwitch action);
