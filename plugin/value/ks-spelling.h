/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Misspelt names: compares what a user typed with what was probably meant.
 */
#pragma once

#include <glib.h>

/*
 * Whether @text, which is not @name, looks like a misspelling of it: the same
 * letters and digits apart from case, separators, quotes and blanks; or, if
 * @name has at least five of them, with one left out, added or wrong, or two
 * adjacent ones swapped. Shorter names are too similar to other words. Both are
 * UTF-8.
 */
gboolean ks_spelling_is_close (const char *text, const char *name);
