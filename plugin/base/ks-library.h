/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Libraries that are loaded only when needed. Most runs change nothing and read
 * no profile anew; loading libnm, with GnuTLS and GIO, and libnftables takes
 * several times as long as the rest of such a run.
 *
 * The linker, and the tools that find a package's dependencies, do not see such
 * a library: packaging/deb/debian/control names it, and `make lint` checks that.
 */
#pragma once

#include <glib.h>

typedef struct {
  const char *name;
  gsize offset; /* of the function pointer in the table */
} KsLibrarySymbol;

/* The symbol FUNCTION, which has a member of the same name in TABLE. */
#define KS_LIBRARY_SYMBOL(table, function) \
  { \
#function, G_STRUCT_OFFSET(table, function) \
  }

/*
 * Loads the library @soname permanently, and writes the addresses of its
 * functions, and of those of the libraries that it needs, into @table. FALSE
 * (KS_ERROR_UNSUPPORTED) if it, or one of its functions, does not exist.
 */
gboolean
ks_library_load (const char *soname, const KsLibrarySymbol *symbols, guint count, gpointer table, GError **error);
