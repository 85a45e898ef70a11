/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Plays the cases: takes the host through its states, tries each case in each,
 * and judges what was seen.
 */
#pragma once

#include "selftest/ks-selftest.h"

/*
 * Runs in this process, which is moved into namespaces of its own for ever
 * and has to be single-threaded. Returns an array of KsSelftestOutcome
 * (transfer full), or NULL when nothing could be tried.
 */
GPtrArray *ks_selftest_play (const KsSelftestOptions *options, GError **error);
