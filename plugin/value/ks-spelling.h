/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Misspelt names: what a person typed, compared with what was probably meant.
 */
#pragma once

#include <glib.h>

/*
 * Whether @text, which is not @name, looks like a misspelling of it: the same
 * letters and digits but for case, separators, quotes and blanks; or, where
 * @name has at least five of them, one left out, added, wrong, or two
 * neighbours swapped. Shorter names have too many neighbours that are words.
 * Both are UTF-8.
 */
gboolean ks_spelling_is_close (const char *text, const char *name);
