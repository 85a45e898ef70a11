/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "input/ks-alias.h"

#include <arpa/nameser.h>
#include <resolv.h>

#include "value/ks-answers.h"

/* A resolver that answers for the host's address takes no longer; without an answer, the known aliases stay. */
#define TIMEOUT_S 1
#define TRIES 1

/* The name that @host is an alias of in @reply, into @out. */
static gboolean
find_alias (ns_msg *reply, const char *host, char out[NS_MAXDNAME])
{
  for (int i = 0; i < ns_msg_count (*reply, ns_s_an); i++) {
    ns_rr record;

    if (ns_parserr (reply, ns_s_an, i, &record) == 0 && ns_rr_type (record) == ns_t_cname
        && g_ascii_strcasecmp (ns_rr_name (record), host) == 0
        && ns_name_uncompress (ns_msg_base (*reply), ns_msg_end (*reply), ns_rr_rdata (record), out, NS_MAXDNAME) > 0)
      return TRUE;
  }
  return FALSE;
}

GPtrArray *
ks_alias_parse (const guint8 *bytes, gsize length, const char *host)
{
  GPtrArray *aliases;
  char alias[NS_MAXDNAME];
  ns_msg reply;

  if (length > NS_MAXMSG || ns_initparse (bytes, (int) length, &reply) != 0
      || ns_msg_getflag (reply, ns_f_rcode) != ns_r_noerror)
    return NULL;
  aliases = g_ptr_array_new_with_free_func (g_free);
  while (aliases->len < KS_ANSWERS_MAX_ALIASES && find_alias (&reply, host, alias)) {
    g_ptr_array_add (aliases, g_strdup (alias));
    host = aliases->pdata[aliases->len - 1];
  }
  return aliases;
}

GPtrArray *
ks_alias_ask (const char *host)
{
  g_autofree char *ascii = g_hostname_to_ascii (host);
  g_autofree guint8 *reply = g_malloc (NS_MAXMSG);
  guint8 query[NS_PACKETSZ];
  struct __res_state state = { 0 };
  int length = -1;

  if (!ascii || res_ninit (&state) != 0)
    return NULL;
  state.retrans = TIMEOUT_S;
  state.retry = TRIES;
  /* a truncated reply has the aliases first; TCP has no way out while blocked */
  state.options |= RES_IGNTC;
  length = res_nmkquery (&state, ns_o_query, ascii, ns_c_in, ns_t_a, NULL, 0, NULL, query, sizeof query);
  if (length > 0)
    length = res_nsend (&state, query, length, reply, NS_MAXMSG);
  res_nclose (&state);
  return length > 0 ? ks_alias_parse (reply, (gsize) length, ascii) : NULL;
}
