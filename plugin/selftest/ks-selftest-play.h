/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Plays the cases: takes the host through its states, tries each case in each
 * state, and judges what was seen.
 */
#pragma once

#include "selftest/ks-selftest.h"

/*
 * Runs in this process, which must be single-threaded and is moved permanently
 * into namespaces of its own. Returns an array of KsSelftestOutcome (transfer
 * full), or NULL if nothing could be tried.
 */
GPtrArray *ks_selftest_play (const KsSelftestOptions *options, GError **error);
