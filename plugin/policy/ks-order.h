/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The order of the steps from what the kernel holds to a policy, which of them
 * rely on others, and which have to wait: ks-order.c says why.
 */
#pragma once

#include "policy/ks-diff.h"

typedef struct {
  const KsConfig *config;
  const KsPolicy *policy; /* the new one */
  const GArray *rules; /* what the kernel has (KsRule) */
  GHashTable *had_servers, *wanted_servers; /* how the kernel, and the policy, reach each server */
  GHashTable *wanted_shields; /* set of KsPrefix: tunnels of unarmed VPNs (ks-policy-shield.c) */
} KsOrder;

/* @have and @want are our routes in the kernel and those of the policy (KsRoute). All must outlive @self. */
void ks_order_init (KsOrder *self, const KsConfig *config, const KsPolicy *policy, const GArray *rules,
                    const GPtrArray *have, const GPtrArray *want);
void ks_order_clear (KsOrder *self);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (KsOrder, ks_order_clear)

/* Sets the phase of @step, and what it relies on, from its kind and its rule or route. */
void ks_order_place (const KsOrder *self, KsStep *step);

/*
 * Whether a step has to wait for a run that can read its inputs again, or that
 * holds the lock, because taken now it would open or cut off something on a
 * guess.
 */
gboolean ks_order_is_held (const KsOrder *self, const KsStep *step, KsDiffFlags flags);

/* Sorts @plan (KsStep) into the order in which its steps have to be taken. */
void ks_order_sort (const KsOrder *self, GArray *plan);
