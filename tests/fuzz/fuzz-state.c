/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Input: the state file. What was read and written once is read and written the same ever after. */
#include "fuzz.h"

#include <string.h>

#include "input/ks-event.h"
#include "state/ks-state-file.h"
#include "value/ks-answers.h"
#include "value/ks-interface.h"

/* What is written of what is read from @path (transfer full). */
static char *
write_again (const char *path, GPtrArray *errors, const char *out)
{
  g_autoptr (KsState) state = ks_state_file_read (path, errors);
  char *text = NULL;

  for (guint i = 0; i < state->remembered->len; i++) {
    const KsRemembered *remembered = state->remembered->pdata[i];

    g_assert (remembered->profile->path && remembered->profile->id && remembered->profile->mode != KS_MODE_OFF);
    g_assert (!remembered->tunnel || ks_interface_name_is_valid (remembered->tunnel));
    g_assert (ks_state_find (state, ks_profile_key (remembered->profile)) == remembered);
  }
  g_assert (ks_state_file_write (state, out, NULL));
  g_assert (g_file_get_contents (out, &text, NULL, NULL));
  return text;
}

void
fuzz_state (const uint8_t *data, size_t size)
{
  g_autoptr (GPtrArray) errors = g_ptr_array_new_with_free_func ((GDestroyNotify) g_error_free);
  const char *path = fuzz_file ("state", data, size);
  const char *first = fuzz_file ("state-1", NULL, 0), *second = fuzz_file ("state-2", NULL, 0);
  g_autofree char *once = write_again (path, errors, first);
  guint error_count = errors->len;
  g_autofree char *twice = write_again (first, errors, second);

  fuzz_check_messages (errors);
  g_assert (errors->len == error_count);
  g_assert (strcmp (once, twice) == 0);
}

KS_FUZZ_ENTRY (fuzz_state)
