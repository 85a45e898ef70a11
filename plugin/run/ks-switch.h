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
  KS_SWITCH_SESSION, /* armed while connected, until disconnected on purpose */
  KS_SWITCH_OFF,
} KsSwitch;

/*
 * The setting that @action gives @profile, a profile of NetworkManager's and one
 * of @choice's. @paths tells which zones firewalld has.
 */
KsSetting ks_switch_setting (const KsChoice *choice, const KsProfile *profile, KsSwitch action, const KsPaths *paths);

/*
 * Whether arming @profile would cut off the SSH connection that this process
 * was started from; *@peer is then set to its client (transfer full). If the
 * kernel cannot be asked, the answer is no.
 */
gboolean ks_switch_cuts_off (const KsChoice *choice, const KsProfile *profile, char **peer);

/*
 * Whether @summary shows that @action has taken effect for @profile, which is
 * connected if @is_up. A session that has not begun, and so is not armed yet,
 * shows nothing.
 */
gboolean ks_switch_is_done (const KsSummary *summary, const KsProfile *profile, KsSwitch action, gboolean is_up);

/*
 * For a user without root: waits until the run that NetworkManager's change of
 * the file has started is over and the kernel shows the result. Returns the
 * state at that time (transfer full); NULL if it takes longer than @timeout_ms.
 */
KsSummary *
ks_switch_wait (const KsPaths *paths, const KsProfile *profile, KsSwitch action, gboolean is_up, guint timeout_ms);

/* The present state, in one line without a newline (transfer full). */
char *ks_switch_format (const KsSummary *summary, const KsProfile *profile, KsSwitch action);
