/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "input/ks-profile-libnm.h"

#include <dlfcn.h>

#include "base/ks-library.h"

#define SYMBOL(function) KS_LIBRARY_SYMBOL (KsLibnm, function),

static KsLibnm table;
static gboolean is_loaded;

const KsLibnm *
ks_profile_libnm (GError **error)
{
  static const KsLibrarySymbol symbols[] = { KS_LIBNM_FUNCTIONS (SYMBOL) };

  if (!is_loaded)
    is_loaded = ks_library_load ("libnm.so.0", symbols, G_N_ELEMENTS (symbols), &table, error);
  return is_loaded ? &table : NULL;
}

const char *
ks_profile_libnm_path (void)
{
  Dl_info info;

  return is_loaded && dladdr ((void *) table.nm_keyfile_read, &info) != 0 ? info.dli_fname : NULL;
}
