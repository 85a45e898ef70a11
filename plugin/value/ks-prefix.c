/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "value/ks-prefix.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/ks-error.h"

guint
ks_prefix_full_length (int family)
{
  return family == AF_INET6 ? 128 : 32;
}

/* Decimal digits only: no sign, no white space, no base prefix. */
static gboolean
parse_length (const char *text, guint max, guint8 *out)
{
  guint64 value;

  if (!g_ascii_string_to_unsigned (text, 10, 0, max, &value, NULL))
    return FALSE;
  *out = (guint8) value;
  return TRUE;
}

gboolean
ks_prefix_parse (const char *text, KsPrefix *out, GError **error)
{
  KsPrefix prefix = KS_PREFIX_UNSET;
  const char *slash = strchr (text, '/');
  gsize length = slash ? (gsize) (slash - text) : strlen (text);
  char address[INET6_ADDRSTRLEN];

  if (length >= sizeof address)
    goto invalid;
  memcpy (address, text, length);
  address[length] = '\0';
  if (inet_pton (AF_INET, address, prefix.bytes) == 1)
    prefix.family = AF_INET;
  else if (inet_pton (AF_INET6, address, prefix.bytes) == 1)
    prefix.family = AF_INET6;
  else
    goto invalid;

  prefix.length = ks_prefix_full_length (prefix.family);
  if (slash && !parse_length (slash + 1, prefix.length, &prefix.length))
    goto invalid;

  *out = prefix;
  return TRUE;

invalid : {
  g_autofree char *printable = ks_error_printable (text);

  g_set_error (error, KS_ERROR, KS_ERROR_INVALID, "'%s' is neither an address nor a prefix", printable);
  return FALSE;
}
}

KsPrefix
ks_prefix_from_bytes (int family, const void *bytes, guint length)
{
  KsPrefix prefix = { .family = family, .length = length };

  memcpy (prefix.bytes, bytes, family == AF_INET6 ? 16 : 4);
  return prefix;
}

char *
ks_prefix_format_address (const KsPrefix *self)
{
  char text[INET6_ADDRSTRLEN] = "";

  if (self->family != AF_UNSPEC)
    inet_ntop (self->family, self->bytes, text, sizeof text);
  return g_strdup (text);
}

char *
ks_prefix_format (const KsPrefix *self)
{
  g_autofree char *address = ks_prefix_format_address (self);

  if (self->length == 0)
    return g_strdup ("default");
  if (ks_prefix_is_host (self))
    return g_steal_pointer (&address);
  return g_strdup_printf ("%s/%u", address, self->length);
}

KsPrefix
ks_prefix_default (int family)
{
  return (KsPrefix){ .family = family };
}

KsPrefix
ks_prefix_network (const KsPrefix *self)
{
  KsPrefix network = *self;
  guint whole = self->length / 8;

  if (whole < sizeof network.bytes) {
    network.bytes[whole] &= (guint8) (0xff00 >> (self->length % 8));
    memset (network.bytes + whole + 1, 0, sizeof network.bytes - whole - 1);
  }
  return network;
}

KsPrefix
ks_prefix_host (const KsPrefix *self)
{
  KsPrefix host = *self;

  host.length = ks_prefix_full_length (self->family);
  return host;
}

gboolean
ks_prefix_is_set (const KsPrefix *self)
{
  return self->family != AF_UNSPEC;
}

gboolean
ks_prefix_is_host (const KsPrefix *self)
{
  return self->length == ks_prefix_full_length (self->family);
}

/* Whether @self lies in the prefix @text. */
static gboolean
is_inside (const KsPrefix *self, const char *text)
{
  KsPrefix outer;

  return ks_prefix_parse (text, &outer, NULL) && ks_prefix_contains (&outer, self);
}

gboolean
ks_prefix_is_link_local (const KsPrefix *self)
{
  return is_inside (self, self->family == AF_INET6 ? "fe80::/10" : "169.254.0.0/16");
}

gboolean
ks_prefix_is_loopback (const KsPrefix *self)
{
  return is_inside (self, self->family == AF_INET6 ? "::1" : "127.0.0.0/8");
}

gboolean
ks_prefix_is_multicast (const KsPrefix *self)
{
  return is_inside (self, self->family == AF_INET6 ? "ff00::/8" : "224.0.0.0/4");
}

gboolean
ks_prefix_contains (const KsPrefix *outer, const KsPrefix *inner)
{
  KsPrefix a, b;

  if (outer->family != inner->family || outer->length > inner->length)
    return FALSE;
  a = ks_prefix_network (outer);
  b = *inner;
  b.length = outer->length;
  b = ks_prefix_network (&b);
  return memcmp (a.bytes, b.bytes, sizeof a.bytes) == 0;
}

gboolean
ks_prefix_overlaps (const KsPrefix *a, const KsPrefix *b)
{
  return ks_prefix_contains (a, b) || ks_prefix_contains (b, a);
}

guint
ks_prefix_hash (gconstpointer prefix)
{
  const KsPrefix *self = prefix;
  guint hash = 5381u * 33 + self->length;

  for (guint i = 0; i < sizeof self->bytes; i++)
    hash = hash * 33 + self->bytes[i];
  return hash;
}

gboolean
ks_prefix_equal_func (gconstpointer a, gconstpointer b)
{
  return ks_prefix_equal (a, b);
}

int
ks_prefix_compare (const KsPrefix *a, const KsPrefix *b)
{
  if (a->family != b->family)
    return a->family < b->family ? -1 : 1;
  if (a->length != b->length)
    return a->length < b->length ? -1 : 1;
  return memcmp (a->bytes, b->bytes, sizeof a->bytes);
}

gboolean
ks_prefix_equal (const KsPrefix *a, const KsPrefix *b)
{
  return ks_prefix_compare (a, b) == 0;
}

gboolean
ks_prefix_array_contains (const GArray *prefixes, const KsPrefix *prefix)
{
  for (guint i = 0; i < prefixes->len; i++)
    if (ks_prefix_equal (&g_array_index (prefixes, KsPrefix, i), prefix))
      return TRUE;
  return FALSE;
}

gboolean
ks_prefix_array_has_family (const GArray *prefixes, int family)
{
  for (guint i = 0; i < prefixes->len; i++)
    if (g_array_index (prefixes, KsPrefix, i).family == family)
      return TRUE;
  return FALSE;
}

gboolean
ks_prefix_array_covers (const GArray *prefixes, const KsPrefix *prefix)
{
  for (guint i = 0; i < prefixes->len; i++)
    if (ks_prefix_contains (&g_array_index (prefixes, KsPrefix, i), prefix))
      return TRUE;
  return FALSE;
}

void
ks_prefix_array_add (GArray *prefixes, const KsPrefix *prefix)
{
  if (!ks_prefix_array_contains (prefixes, prefix))
    g_array_append_val (prefixes, *prefix);
}
