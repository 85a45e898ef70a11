/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/ks-library.h"

#include <dlfcn.h>
#include <string.h>

#include "base/ks-error.h"

static void
set_error (GError **error, const char *soname)
{
  g_autofree char *reason = ks_error_printable (dlerror ());

  g_set_error (error, KS_ERROR, KS_ERROR_UNSUPPORTED, "cannot load %s: %s", soname, reason);
}

gboolean
ks_library_load (const char *soname, const KsLibrarySymbol *symbols, guint count, gpointer table, GError **error)
{
  void *library = dlopen (soname, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);

  if (!library) {
    set_error (error, soname);
    return FALSE;
  }
  for (guint i = 0; i < count; i++) {
    void *address = dlsym (library, symbols[i].name);

    if (!address) {
      set_error (error, soname);
      return FALSE;
    }
    memcpy ((char *) table + symbols[i].offset, &address, sizeof address);
  }
  return TRUE;
}
