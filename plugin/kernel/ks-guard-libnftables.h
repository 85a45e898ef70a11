/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libnftables, loaded when the guard has to be changed (base/ks-library.h).
 */
#pragma once

#include <glib.h>
#include <nftables/libnftables.h>

#define KS_LIBNFTABLES_FUNCTIONS(FUNCTION) \
  FUNCTION (nft_ctx_buffer_error) \
  FUNCTION (nft_ctx_buffer_output) \
  FUNCTION (nft_ctx_free) \
  FUNCTION (nft_ctx_get_error_buffer) \
  FUNCTION (nft_ctx_new) \
  FUNCTION (nft_run_cmd_from_buffer)

#define KS_LIBNFTABLES_MEMBER(function) __typeof__ (function) *function;

typedef struct {
  KS_LIBNFTABLES_FUNCTIONS (KS_LIBNFTABLES_MEMBER)
} KsLibnftables;

/* NULL with KS_ERROR_UNSUPPORTED if it cannot be loaded. Tests put their own functions into the structure. */
KsLibnftables *ks_guard_libnftables (GError **error);
