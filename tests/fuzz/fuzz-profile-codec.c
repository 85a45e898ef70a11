/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Input: keyfiles as the memory of profiles has them. What is taken for one is written the same again. */
#include "fuzz.h"

#include <string.h>

#include "input/ks-profile-codec.h"
#include "value/ks-interface.h"

static void
check (const KsKeyfile *keyfile)
{
  const KsProfile *profile = keyfile->profile;

  g_assert (keyfile->path && !keyfile->is_unclear && keyfile->errors->len == 0 && keyfile->warnings->len == 0);
  if (!profile)
    return;
  g_assert (profile->path && profile->id && ks_profile_key (profile));
  g_assert (profile->vpn_type != KS_VPN_NONE && profile->vpn_type != KS_VPN_SECTION);
  g_assert (!profile->interface || ks_interface_name_is_valid (profile->interface));
  g_assert (profile->uids->len == 0);
  for (guint i = 0; i < profile->prefixes->len; i++) {
    g_autofree char *text = ks_prefix_format (&g_array_index (profile->prefixes, KsPrefix, i));

    g_assert (text);
  }
}

void
fuzz_profile_codec (const uint8_t *data, size_t size)
{
  KsBytes bytes = { .next = data, .end = data + size };

  while (bytes.next < bytes.end) {
    const guint8 *start = bytes.next;
    g_autoptr (KsKeyfile) keyfile = ks_profile_decode (&bytes);
    g_autoptr (GByteArray) again = g_byte_array_new ();

    if (!keyfile)
      return;
    check (keyfile);
    ks_profile_encode (keyfile, again);
    g_assert (again->len == (gsize) (bytes.next - start) && memcmp (again->data, start, again->len) == 0);
  }
}

KS_FUZZ_ENTRY (fuzz_profile_codec)
