/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Libraries that are loaded when they are needed. Most runs change nothing and
 * read no profile anew; to load libnm, with GnuTLS and GIO, and libnftables
 * costs several times what the rest of such a run does.
 *
 * The linker, and what finds a package's dependencies, does not see such a
 * library: packaging/deb/debian/control names it, and `make lint` checks that.
 */
#pragma once

#include <glib.h>

typedef struct {
  const char *name;
  gsize offset; /* of the pointer to the function, in the table */
} KsLibrarySymbol;

/* Of FUNCTION, a member of TABLE with the function's own name. */
#define KS_LIBRARY_SYMBOL(table, function) \
  { \
#function, G_STRUCT_OFFSET(table, function) \
  }

/*
 * Loads the library @soname, for good, and writes the addresses of its
 * functions, and of those of the libraries that it needs, into @table. Returns
 * FALSE (KS_ERROR_UNSUPPORTED) when it, or one of its functions, is not there.
 */
gboolean
ks_library_load (const char *soname, const KsLibrarySymbol *symbols, guint count, gpointer table, GError **error);
