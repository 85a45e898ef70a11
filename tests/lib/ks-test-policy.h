/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A policy put together by hand, for tests of the guard. */
#pragma once

#include "policy/ks-policy.h"

/* Armed, with DNS in the tunnel and @lan_prefixes (words) as a private LAN, and nothing else. */
KsPolicy *ks_test_policy_new (const char *lan_prefixes);
/* Adds a tunnel with one address. */
void ks_test_policy_add_tunnel (KsPolicy *self, const char *interface, guint ifindex, const char *address);
