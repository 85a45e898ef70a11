/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Resolves host names of VPN servers to addresses and aliases, with the system's
 * resolver, within a time limit.
 */
#pragma once

#include "input/ks-alias.h"
#include "value/ks-answers.h"

/*
 * Resolves @hosts (of char*) in parallel within @timeout_ms milliseconds, and
 * their aliases by @ask, and adds the results to @answers. Returns whether any
 * answer is new. A name without an answer is not an error: the last good answers
 * stay.
 */
gboolean ks_resolve_hosts (const GPtrArray *hosts, KsAliasFunc ask, guint timeout_ms, KsAnswers *answers);
