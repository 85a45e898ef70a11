/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a query for a VPN server's address looks like.
 *
 * A resolver passes on what programs ask it, and that is more than the name:
 * dnsmasq 2.90 passes on EDNS options, the buffer size, and even bytes after
 * the end of the message (run); systemd-resolved passes on the whole message
 * when it asks for DNSSEC. So every field is fixed, and the length too:
 *
 *   ID            free: a number the resolver draws
 *   flags         RD alone; AD is free (glibc's trust-ad)
 *   counts        one question, no record, or one OPT record
 *   name          exact, except for upper and lower case
 *   type, class   A or AAAA, IN
 *   OPT record    none, or one without options and without DO; its buffer size is free
 *
 * systemd-resolved with DNSSEC=yes or allow-downgrade sends RD and CD, and an
 * OPT record with DO and always the same three options: the algorithms that it
 * knows (RFC 6975; dns_packet_append_opt(), src/shared/dns-packet.c). To
 * validate the answer, it asks in the same way for DS, DNSKEY and SOA of the
 * name and of each parent domain, up to the root. All of these queries have to
 * leave, or no VPN known by name comes up (run, systemd 252). They are as exact
 * as the others, so all that a program can choose is which of these queries is
 * sent.
 *
 * Case is free because dnsmasq 2.91 (Debian 13) randomises it by default
 * ("0x20"), and other resolvers can be configured to: if it were fixed, a VPN
 * could not come up. Through a resolver, a program can still put some 10 to 40
 * bits into a query: case, buffer size, type and AD. The guard limits how many
 * such queries leave per second (ks-guard-queries.c).
 */
#include "policy/ks-query.h"

#include <string.h>

#define MAX_LABEL 63

static gboolean
is_name_character (char c)
{
  return g_ascii_isalnum (c) || c == '-' || c == '_';
}

/* Whether @name consists of labels of at most 63 such characters, separated by dots. */
static gboolean
has_labels (const char *name)
{
  gsize label = 0;

  for (const char *p = name;; p++) {
    if (is_name_character (*p)) {
      label++;
      continue;
    }
    if ((*p && *p != '.') || label == 0 || label > MAX_LABEL)
      return FALSE;
    if (!*p)
      return TRUE;
    label = 0;
  }
}

char *
ks_query_name (const char *name)
{
  g_autofree char *ascii = g_utf8_validate (name, -1, NULL) ? g_hostname_to_ascii (name) : NULL;
  g_autofree char *lower = ascii ? g_ascii_strdown (ascii, -1) : NULL;
  gsize length = lower ? strlen (lower) : 0;

  if (length > 0 && lower[length - 1] == '.')
    lower[--length] = '\0';
  /* in a query, a name is two bytes longer: a length byte before each label replaces the dots, and one ends it */
  if (length == 0 || length + 2 > KS_QUERY_MAX_NAME || !has_labels (lower))
    return NULL;
  return g_steal_pointer (&lower);
}

static void
add_byte (KsQuery *self, guint8 byte, guint8 mask)
{
  self->bytes[self->length] = byte & mask;
  self->mask[self->length++] = mask;
}

/* @mask: NULL to compare all of it. */
static void
add_bytes (KsQuery *self, const guint8 *bytes, const guint8 *mask, gsize length)
{
  for (gsize i = 0; i < length; i++)
    add_byte (self, bytes[i], mask ? mask[i] : 0xff);
}

/* Bit 0x20 of a letter is its case; in any other byte it is significant. */
static void
add_name (KsQuery *self, const char *name)
{
  g_auto (GStrv) labels = g_strsplit (name, ".", -1);

  for (char **label = labels; *label; label++) {
    add_byte (self, (guint8) strlen (*label), 0xff);
    for (const char *p = *label; *p; p++)
      add_byte (self, (guint8) *p, g_ascii_isalpha (*p) ? 0xdf : 0xff);
  }
  add_byte (self, 0, 0xff);
}

/*
 * An OPT record: the root's name, type 41, the buffer size, which is free, no
 * extended code, version 0, the DO flag or none, @size bytes of @options.
 */
static void
add_opt (KsQuery *self, gboolean dnssec_ok, const guint8 *options, gsize size)
{
  const guint8 opt[] = { 0, 0, 41, 0, 0, 0, 0, dnssec_ok ? 0x80 : 0, 0, 0, (guint8) size };
  static const guint8 mask[] = { 0xff, 0xff, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

  add_bytes (self, opt, mask, sizeof opt);
  add_bytes (self, options, NULL, size);
}

gboolean
ks_query_init (KsQuery *self, const char *name, KsQueryType type, KsQueryForm form)
{
  /* DAU, DHU and N3U: signatures, digests and hashes */
  static const guint8 algorithms[] = { 0, 5, 0, 7, 5, 7, 8, 10, 13, 14, 15, 0, 6, 0, 3, 1, 2, 4, 0, 7, 0, 1, 1 };
  const guint8 flags[] = { 0x01, form == KS_QUERY_DNSSEC ? 0x10 : 0 };
  static const guint8 flags_mask[] = { 0xff, 0xdf };
  const guint8 counts[] = { 0, 1, 0, 0, 0, 0, 0, form == KS_QUERY_PLAIN ? 0 : 1 };
  const guint8 type_and_class[] = { 0, (guint8) type, 0, 1 };

  /* a length byte for each label and the final zero; the root has no label */
  if (form == KS_QUERY_DNSSEC && strlen (name) + 2 + sizeof algorithms > KS_QUERY_MAX_NAME)
    return FALSE;
  self->length = 0;
  add_bytes (self, flags, flags_mask, sizeof flags);
  add_bytes (self, counts, NULL, sizeof counts);
  add_name (self, name);
  add_bytes (self, type_and_class, NULL, sizeof type_and_class);
  if (form != KS_QUERY_PLAIN)
    add_opt (self, form == KS_QUERY_DNSSEC, algorithms, form == KS_QUERY_DNSSEC ? sizeof algorithms : 0);
  return TRUE;
}
