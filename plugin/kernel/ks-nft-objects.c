/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/ks-nft-objects.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
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

/* Returns 0 or an errno value. */
static int
dump (KsNlSocket *socket, int type, KsNetlinkFunc func, GPtrArray *out)
{
  struct nfgenmsg family = { .nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0 };
  guint before = out->len;
  int result = EINTR;

  for (int i = 0; i < DUMP_TRIES && result == EINTR; i++) {
    g_autoptr (KsNlMessage) message = nlmsg_alloc_simple ((NFNL_SUBSYS_NFTABLES << 8) | type, 0);

    g_ptr_array_set_size (out, (int) before);
    if (!message || nlmsg_append (message, &family, sizeof family, NLMSG_ALIGNTO) < 0)
      return ENOMEM;
    result = ks_netlink_dump (socket, message, func, out);
  }
  return result == EINTR ? 0 : result;
}

GPtrArray *
ks_nft_objects_read (GError **error)
{
  g_autoptr (KsNetfilterSocket) socket = ks_netlink_open_netfilter (error);
  g_autoptr (GPtrArray) objects = g_ptr_array_new_with_free_func ((GDestroyNotify) ks_nft_object_free);
  int result;

  if (!socket)
    return NULL;
  result = dump (socket, NFT_MSG_GETCHAIN, on_chain, objects);
  if (result == 0)
    result = dump (socket, NFT_MSG_GETFLOWTABLE, on_flowtable, objects);
  if (result == 0)
    return g_steal_pointer (&objects);
  g_set_error (error, KS_ERROR, KS_ERROR_KERNEL, "cannot list nftables chains: %s", g_strerror (result));
  return NULL;
}
