/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The chains, flowtables and redirections of nftables, whoever created them, as
 * far as they can interfere with the kill switch. This includes those of
 * iptables-nft, but not those of iptables-legacy.
 */
#pragma once

#include "policy/ks-neighbour.h"

/*
 * All of them (of KsNftObject; transfer full). KS_ERROR_KERNEL, also if the
 * kernel has no nf_tables or the user may not read them.
 */
GPtrArray *ks_nft_objects_read (GError **error);
