/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * While no tunnel is up, root and the users that the system's resolver may run
 * as may send queries for the servers' names to the uplink's resolvers (chain
 * `names`): UDP to port 53, comparing every byte of the message and its length.
 * ks-query.c says which parts are free. A longer or shorter name, another type,
 * a second question, another option or trailing bytes do not match. The domains
 * that contain a name may be queried for the records that validate it, and for
 * nothing else.
 * What a program can still encode into such queries is limited by their rate:
 * 10 a second after an initial burst (chain `asked`), enough for resolvers that
 * repeat every name several times.
 */
#include <string.h>

#include "policy/ks-guard-builder.h"
#include "policy/ks-query.h"

/* Comes before the bytes of a KsQuery: the UDP header, and the message's ID. */
#define QUERY_OFFSET (8 + 2)
/* The most that nftables compares at once, in bytes. */
#define PIECE 16
/* Two types, and two resolvers that repeat each twice. */
#define BURST_PER_NAME 8
#define MIN_BURST 50

static void
append_number (GString *out, const guint8 *bytes, guint length)
{
  g_string_append (out, "0x");
  for (guint i = 0; i < length; i++)
    g_string_append_printf (out, "%02x", bytes[i]);
}

static gboolean
is_whole (const guint8 *mask, guint length)
{
  for (guint i = 0; i < length; i++)
    if (mask[i] != 0xff)
      return FALSE;
  return TRUE;
}

/* "udp length 41 @th,80,128 & 0x... == 0x... @th,208,64 0x... goto asked" */
static void
add_query (GString *out, const KsQuery *query)
{
  g_string_append_printf (out, "    udp length %u ", QUERY_OFFSET + query->length);
  for (guint i = 0; i < query->length; i += PIECE) {
    guint length = MIN (PIECE, query->length - i);

    g_string_append_printf (out, "@th,%u,%u ", (QUERY_OFFSET + i) * 8, length * 8);
    if (!is_whole (query->mask + i, length)) {
      g_string_append (out, "& ");
      append_number (out, query->mask + i, length);
      g_string_append (out, " == ");
    }
    append_number (out, query->bytes + i, length);
    g_string_append_c (out, ' ');
  }
  g_string_append (out, "goto asked\n");
}

void
ks_guard_add_bootstrap (GString *out, const KsPolicy *policy)
{
  for (guint i = 0; i < policy->bootstrap->len; i++) {
    const KsTransport *transport = &g_array_index (policy->bootstrap, KsTransport, i);
    g_autofree char *resolver = ks_prefix_format_address (&transport->to);
    g_autofree char *selector = ks_guard_format_selector (transport, resolver);

    ks_guard_add_line (out, "%smeta skuid %u jump names", selector, transport->uid);
  }
}

static void
add_queries (GString *out, const char *name, const KsQueryType *types, guint n_types, KsQueryForm form)
{
  for (guint i = 0; i < n_types; i++) {
    KsQuery query;

    if (ks_query_init (&query, name, types[i], form))
      add_query (out, &query);
  }
}

/* The records that validate @name: those of the name and of each parent domain not yet in @done, up to the root. */
static void
add_validation (GString *out, const char *name, GHashTable *done)
{
  static const KsQueryType types[] = { KS_QUERY_SOA, KS_QUERY_DS, KS_QUERY_DNSKEY };

  while (g_hash_table_add (done, g_strdup (name))) {
    const char *dot = strchr (name, '.');

    add_queries (out, name, types, G_N_ELEMENTS (types), KS_QUERY_DNSSEC);
    name = dot ? dot + 1 : "";
  }
}

/* Accepts queries for the servers' names, returns for all others. */
void
ks_guard_add_names_chains (GString *out, const KsPolicy *policy)
{
  static const KsQueryType types[] = { KS_QUERY_A, KS_QUERY_AAAA };
  static const KsQueryForm forms[] = { KS_QUERY_PLAIN, KS_QUERY_EDNS, KS_QUERY_DNSSEC };
  g_autoptr (GHashTable) done = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  if (policy->bootstrap->len == 0)
    return;
  ks_guard_begin_chain (out, "asked");
  ks_guard_add_line (out, "limit rate 10/second burst %u packets accept",
                     MAX (MIN_BURST, policy->names->len * BURST_PER_NAME));
  ks_guard_end_chain (out);
  ks_guard_begin_chain (out, "names");
  for (guint i = 0; i < policy->names->len; i++) {
    for (guint j = 0; j < G_N_ELEMENTS (forms); j++)
      add_queries (out, policy->names->pdata[i], types, G_N_ELEMENTS (types), forms[j]);
    add_validation (out, policy->names->pdata[i], done);
  }
  ks_guard_end_chain (out);
}
