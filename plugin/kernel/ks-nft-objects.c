/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/ks-nft-objects.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <netlink/attr.h>
#include <string.h>

#include "base/ks-error.h"
#include "kernel/ks-netfilter-socket.h"
#include "kernel/ks-netlink.h"

/* Every nftables transaction on the host interrupts a dump. The result is for people: a part is better than nothing. */
#define DUMP_TRIES 5

/* NULL if there is no such attribute, or it is no string. */
static const char *
find_text (struct nlmsghdr *header, int type)
{
  const struct nlattr *attribute = nlmsg_find_attr (header, sizeof (struct nfgenmsg), type);

  return attribute && nla_len (attribute) > 0 && memchr (nla_data (attribute), '\0', (gsize) nla_len (attribute))
           ? nla_data (attribute)
           : NULL;
}

static gboolean
get_be32 (const struct nlattr *attribute, guint32 *out)
{
  if (!attribute || nla_len (attribute) != sizeof *out)
    return FALSE;
  *out = ntohl (nla_get_u32 (attribute));
  return TRUE;
}

static void
read_chain (struct nlmsghdr *header, KsNftObject *object)
{
  const struct nlattr *hook = nlmsg_find_attr (header, sizeof (struct nfgenmsg), NFTA_CHAIN_HOOK);
  guint32 policy;

  if (!hook || !get_be32 (nla_find (nla_data (hook), nla_len (hook), NFTA_HOOK_HOOKNUM), &object->hook))
    return;
  object->is_base = TRUE;
  object->drops =
    get_be32 (nlmsg_find_attr (header, sizeof (struct nfgenmsg), NFTA_CHAIN_POLICY), &policy) && policy == NF_DROP;
}

static gboolean
add_object (struct nlmsghdr *header, KsNftKind kind, int name_type, GPtrArray *out)
{
  const char *table = NULL, *name = NULL;
  KsNftObject *object;

  if (nlmsg_datalen (header) < (int) sizeof (struct nfgenmsg))
    return FALSE;
  table = find_text (header, NFTA_CHAIN_TABLE); /* the same number in messages of every type */
  name = find_text (header, name_type);
  if (!table || !name)
    return FALSE;
  object = g_new0 (KsNftObject, 1);
  object->kind = kind;
  object->family = ((const struct nfgenmsg *) nlmsg_data (header))->nfgen_family;
  object->table = g_strdup (table);
  object->name = g_strdup (name);
  if (kind == KS_NFT_CHAIN)
    read_chain (header, object);
  g_ptr_array_add (out, object);
  return TRUE;
}

static gboolean
on_chain (struct nlmsghdr *header, gpointer user_data)
{
  return add_object (header, KS_NFT_CHAIN, NFTA_CHAIN_NAME, user_data);
}

static gboolean
on_flowtable (struct nlmsghdr *header, gpointer user_data)
{
  return add_object (header, KS_NFT_FLOWTABLE, NFTA_FLOWTABLE_NAME, user_data);
}

/* --- rules, as lists of expressions --- */

static gboolean
is_text (const struct nlattr *attribute, const char *text)
{
  return attribute && nla_len (attribute) > (int) strlen (text)
         && strncmp (nla_data (attribute), text, strlen (text) + 1) == 0;
}

/* The expressions of a rule; NULL if there are none. */
static const struct nlattr *
expressions_of (struct nlmsghdr *header)
{
  return nlmsg_find_attr (header, sizeof (struct nfgenmsg), NFTA_RULE_EXPRESSIONS);
}

/* Whether @expression ends with a drop or a reject, also those of iptables-nft. */
static gboolean
is_drop (const struct nlattr *expression)
{
  const struct nlattr *name = ks_netlink_find_nested (expression, NFTA_EXPR_NAME);
  const struct nlattr *data = ks_netlink_find_nested (expression, NFTA_EXPR_DATA);
  guint32 code;

  if (is_text (name, "reject"))
    return TRUE;
  if (is_text (name, "target"))
    return is_text (ks_netlink_find_nested (data, NFTA_TARGET_NAME), "REJECT");
  return is_text (name, "immediate")
         && get_be32 (ks_netlink_find_nested (
                        ks_netlink_find_nested (ks_netlink_find_nested (data, NFTA_IMMEDIATE_DATA), NFTA_DATA_VERDICT),
                        NFTA_VERDICT_CODE),
                      &code)
         && code == NF_DROP;
}

static gboolean
has_be32 (const struct nlattr *expression, int type, guint32 expected)
{
  guint32 value;

  return get_be32 (ks_netlink_find_nested (ks_netlink_find_nested (expression, NFTA_EXPR_DATA), type), &value)
         && value == expected;
}

/* Whether @expression loads the device that a packet leaves by, or its name. */
static gboolean
loads_device (const struct nlattr *expression)
{
  return is_text (ks_netlink_find_nested (expression, NFTA_EXPR_NAME), "meta")
         && (has_be32 (expression, NFTA_META_KEY, NFT_META_OIF)
             || has_be32 (expression, NFTA_META_KEY, NFT_META_OIFNAME));
}

/* Whether @expression goes on only with what is different. */
static gboolean
is_unequal (const struct nlattr *expression)
{
  const struct nlattr *name = ks_netlink_find_nested (expression, NFTA_EXPR_NAME);

  return is_text (name, "lookup") ? has_be32 (expression, NFTA_LOOKUP_FLAGS, NFT_LOOKUP_F_INV)
                                  : is_text (name, "cmp") && has_be32 (expression, NFTA_CMP_OP, NFT_CMP_NEQ);
}

typedef enum {
  DROPS_NOTHING,
  DROPS_ELSEWHERE, /* what does not leave by a certain device, such as the tunnel of another kill switch */
  DROPS_ALL, /* whatever gets to the rule */
} Drops;

/* What the rule drops, if it is one of these two kinds. */
static Drops
drops_of_rule (struct nlmsghdr *header)
{
  const struct nlattr *expressions = expressions_of (header), *expression;
  gboolean is_conditional = FALSE, is_device = FALSE, is_elsewhere = FALSE;
  int remaining;

  if (!expressions)
    return DROPS_NOTHING;
  nla_for_each_nested (expression, expressions, remaining) {
    const struct nlattr *name = ks_netlink_find_nested (expression, NFTA_EXPR_NAME);

    if (is_drop (expression))
      return !is_conditional ? DROPS_ALL : is_elsewhere ? DROPS_ELSEWHERE : DROPS_NOTHING;
    is_conditional |= !is_text (name, "counter") && !is_text (name, "log");
    is_elsewhere |= is_device && is_unequal (expression);
    is_device = loads_device (expression);
  }
  return DROPS_NOTHING;
}

typedef struct {
  const KsNftObject *chain;
  gboolean confines; /* one of its rules drops what does not leave by a certain device */
  gboolean is_closed; /* the last rule seen drops all */
} ChainRules;

/* The last rule comes last. */
static gboolean
on_rule_of_chain (struct nlmsghdr *header, gpointer user_data)
{
  ChainRules *rules = user_data;
  Drops drops;

  if (g_strcmp0 (find_text (header, NFTA_RULE_TABLE), rules->chain->table) != 0
      || g_strcmp0 (find_text (header, NFTA_RULE_CHAIN), rules->chain->name) != 0)
    return TRUE;
  drops = drops_of_rule (header);
  rules->confines |= drops == DROPS_ELSEWHERE;
  rules->is_closed = drops == DROPS_ALL;
  return TRUE;
}

/* The device that @expression loads into register @reg for a later one; 0 if it does not. */
static guint
device_in (const struct nlattr *expression, guint32 reg)
{
  const struct nlattr *data = ks_netlink_find_nested (expression, NFTA_EXPR_DATA);
  const struct nlattr *value =
    ks_netlink_find_nested (ks_netlink_find_nested (data, NFTA_IMMEDIATE_DATA), NFTA_DATA_VALUE);
  guint32 loaded;

  return is_text (ks_netlink_find_nested (expression, NFTA_EXPR_NAME), "immediate")
             && get_be32 (ks_netlink_find_nested (data, NFTA_IMMEDIATE_DREG), &loaded) && loaded == reg && value
             && nla_len (value) == sizeof (guint32)
           ? nla_get_u32 (value)
           : 0;
}

/* The register that holds the device to which @expression sends packets. FALSE if it does not send any. */
static gboolean
is_redirection (const struct nlattr *expression, guint32 *reg)
{
  const struct nlattr *name = ks_netlink_find_nested (expression, NFTA_EXPR_NAME);
  const struct nlattr *data = ks_netlink_find_nested (expression, NFTA_EXPR_DATA);

  *reg = 0;
  if (is_text (name, "fwd")) {
    get_be32 (ks_netlink_find_nested (data, NFTA_FWD_SREG_DEV), reg);
    return TRUE;
  }
  if (is_text (name, "dup")) {
    get_be32 (ks_netlink_find_nested (data, NFTA_DUP_SREG_DEV), reg);
    return TRUE;
  }
  return FALSE;
}

static gboolean
on_netdev_rule (struct nlmsghdr *header, gpointer user_data)
{
  const struct nlattr *expressions = expressions_of (header), *expression, *before;
  int remaining, remaining_before;
  guint32 reg;

  if (!expressions)
    return TRUE;
  nla_for_each_nested (expression, expressions, remaining) {
    KsNftObject *object;
    guint ifindex = 0;

    if (!is_redirection (expression, &reg))
      continue;
    nla_for_each_nested (before, expressions, remaining_before) {
      if (before == expression)
        break;
      ifindex = device_in (before, reg) ? device_in (before, reg) : ifindex;
    }
    if (!add_object (header, KS_NFT_REDIRECTION, NFTA_RULE_CHAIN, user_data))
      return FALSE;
    object = ((GPtrArray *) user_data)->pdata[((GPtrArray *) user_data)->len - 1];
    object->ifindex = ifindex;
  }
  return TRUE;
}

/* --- all of them --- */

/* Dumps what is of @type, of one family or of all (NFPROTO_UNSPEC), and of the chain @of (nullable). Returns 0 or an
 * errno value. */
static int
dump (KsNlSocket *socket, int type, guint8 family, const KsNftObject *of, KsNetlinkFunc func, gpointer user_data)
{
  struct nfgenmsg header = { .nfgen_family = family, .version = NFNETLINK_V0 };
  g_autoptr (KsNlMessage) message = nlmsg_alloc_simple ((NFNL_SUBSYS_NFTABLES << 8) | type, 0);

  if (!message || nlmsg_append (message, &header, sizeof header, NLMSG_ALIGNTO) < 0
      || (of && nla_put_string (message, NFTA_RULE_TABLE, of->table) < 0)
      || (of && nla_put_string (message, NFTA_RULE_CHAIN, of->name) < 0))
    return ENOMEM;
  return ks_netlink_dump (socket, message, func, user_data);
}

/* Returns 0 or an errno value. */
static int
collect (KsNlSocket *socket, int type, guint8 family, KsNetlinkFunc func, GPtrArray *out)
{
  guint before = out->len;
  int result = EINTR;

  for (int i = 0; i < DUMP_TRIES && result == EINTR; i++) {
    g_ptr_array_set_size (out, (int) before);
    result = dump (socket, type, family, NULL, func, out);
  }
  return result == EINTR ? 0 : result;
}

/* A chain whose policy is accept drops all the same if its last rule does, or one that wants everything to leave by
 * some device. Only chains for what the host sends are read: others may have very many rules. */
static void
read_rules (KsNlSocket *socket, KsNftObject *chain)
{
  ChainRules rules = { .chain = chain };

  if (chain->kind != KS_NFT_CHAIN || !chain->is_base || chain->drops
      || (chain->hook != NF_INET_LOCAL_OUT && chain->hook != NF_INET_POST_ROUTING)
      || (chain->family != NFPROTO_INET && chain->family != NFPROTO_IPV4 && chain->family != NFPROTO_IPV6))
    return;
  dump (socket, NFT_MSG_GETRULE, chain->family, chain, on_rule_of_chain, &rules);
  chain->drops = rules.confines || rules.is_closed;
}

GPtrArray *
ks_nft_objects_read (GError **error)
{
  g_autoptr (KsNetfilterSocket) socket = ks_netlink_open_netfilter (error);
  g_autoptr (GPtrArray) objects = g_ptr_array_new_with_free_func ((GDestroyNotify) ks_nft_object_free);
  int result;

  if (!socket)
    return NULL;
  result = collect (socket, NFT_MSG_GETCHAIN, NFPROTO_UNSPEC, on_chain, objects);
  for (guint i = 0; result == 0 && i < objects->len; i++)
    read_rules (socket, objects->pdata[i]);
  if (result == 0)
    result = collect (socket, NFT_MSG_GETFLOWTABLE, NFPROTO_UNSPEC, on_flowtable, objects);
  if (result == 0)
    result = collect (socket, NFT_MSG_GETRULE, NFPROTO_NETDEV, on_netdev_rule, objects);
  if (result == 0)
    return g_steal_pointer (&objects);
  g_set_error (error, KS_ERROR, KS_ERROR_KERNEL, "cannot list nftables chains: %s", g_strerror (result));
  return NULL;
}
