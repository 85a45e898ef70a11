/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/ks-guard-libnftables.h"

#include "base/ks-library.h"

#define SYMBOL(function) KS_LIBRARY_SYMBOL (KsLibnftables, function),

KsLibnftables *
ks_guard_libnftables (GError **error)
{
  static const KsLibrarySymbol symbols[] = { KS_LIBNFTABLES_FUNCTIONS (SYMBOL) };
  static KsLibnftables table;
  static gboolean is_loaded;

  if (!is_loaded)
    is_loaded = ks_library_load ("libnftables.so.1", symbols, G_N_ELEMENTS (symbols), &table, error);
  return is_loaded ? &table : NULL;
}
