/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/ks-tc.h"

#include <errno.h>
#include <linux/pkt_cls.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>
#include <netlink/attr.h>
#include <string.h>

#include "base/ks-error.h"

/* The result is for people: a part is better than nothing. */
#define DUMP_TRIES 5
#define KIND "mirred"

/* TCA_MIRRED_PARMS, as the filter that uses the action has set it. Ingress means: as if the device had received it. */
static void
collect_action (const struct nlattr *action, GArray *out)
{
  const struct nlattr *kind = ks_netlink_find_nested (action, TCA_ACT_KIND);
  const struct nlattr *parameters =
    ks_netlink_find_nested (ks_netlink_find_nested (action, TCA_ACT_OPTIONS), TCA_MIRRED_PARMS);
  KsTcRedirection redirection;
  struct tc_mirred mirred;

  if (!kind || nla_len (kind) != sizeof KIND || memcmp (nla_data (kind), KIND, sizeof KIND) != 0 || !parameters
      || nla_len (parameters) < (int) sizeof mirred)
    return;
  memcpy (&mirred, nla_data (parameters), sizeof mirred);
  if (mirred.bindcnt <= 0 || (mirred.eaction != TCA_EGRESS_REDIR && mirred.eaction != TCA_EGRESS_MIRROR))
    return;
  redirection = (KsTcRedirection){ .index = mirred.index,
                                   .ifindex = mirred.ifindex,
                                   .copies = mirred.eaction == TCA_EGRESS_MIRROR };
  g_array_append_val (out, redirection);
}

static gboolean
on_actions (struct nlmsghdr *header, gpointer user_data)
{
  const struct nlattr *actions, *action;
  int remaining;

  if (header->nlmsg_type != RTM_GETACTION || !nlmsg_valid_hdr (header, sizeof (struct tcamsg)))
    return FALSE;
  actions = nlmsg_find_attr (header, sizeof (struct tcamsg), TCA_ACT_TAB);
  if (!actions)
    return TRUE;
  nla_for_each_nested (action, actions, remaining) {
    collect_action (action, user_data);
  }
  return TRUE;
}

static KsNlMessage *
dump_request (void)
{
  g_autoptr (KsNlMessage) message = nlmsg_alloc_simple (RTM_GETACTION, 0);
  struct tcamsg header = { .tca_family = AF_UNSPEC };
  struct nlattr *table, *action;

  if (!message || nlmsg_append (message, &header, sizeof header, NLMSG_ALIGNTO) < 0
      || !(table = nla_nest_start (message, TCA_ACT_TAB)) || !(action = nla_nest_start (message, 1))
      || nla_put_string (message, TCA_ACT_KIND, KIND) < 0)
    return NULL;
  nla_nest_end (message, action);
  nla_nest_end (message, table);
  return g_steal_pointer (&message);
}

GArray *
ks_tc_read_redirections (GError **error)
{
  g_autoptr (KsNlSocket) socket = ks_netlink_open (error);
  g_autoptr (GArray) out = g_array_new (FALSE, FALSE, sizeof (KsTcRedirection));
  int result = EINTR;

  if (!socket)
    return NULL;
  for (int i = 0; i < DUMP_TRIES && result == EINTR; i++) {
    g_autoptr (KsNlMessage) message = dump_request ();

    g_array_set_size (out, 0);
    result = message ? ks_netlink_dump (socket, message, on_actions, out) : ENOMEM;
  }
  /* a kernel without CONFIG_NET_CLS_ACT does not know the question */
  if (result == 0 || result == EINTR || result == EOPNOTSUPP)
    return g_steal_pointer (&out);
  g_set_error (error, KS_ERROR, KS_ERROR_KERNEL, "cannot list traffic control's actions: %s", g_strerror (result));
  return NULL;
}
