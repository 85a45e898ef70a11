/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Host names of VPN servers to addresses and aliases, by the system's resolver,
 * within a time limit.
 */
#pragma once

#include "input/ks-alias.h"
#include "value/ks-answers.h"

/*
 * Resolves @hosts (of char*) side by side within @timeout_ms milliseconds, their
 * aliases by @ask, and adds what comes to @answers. Returns whether any answer is news. A name
 * without an answer is not an error: the last good answers stay.
 */
gboolean ks_resolve_hosts (const GPtrArray *hosts, KsAliasFunc ask, guint timeout_ms, KsAnswers *answers);
