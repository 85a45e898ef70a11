/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The chains and flowtables of nftables, whoever made them, as far as they can
 * be in the kill switch's way. iptables-nft is nftables, too; what iptables-legacy
 * holds is not seen.
 */
#pragma once

#include "policy/ks-neighbour.h"

/*
 * All of them (of KsNftObject; transfer full). KS_ERROR_KERNEL, also for a
 * kernel that has no nf_tables and a user who may not read it.
 */
GPtrArray *ks_nft_objects_read (GError **error);
