/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/ks-guard-readback.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netlink/attr.h>
#include <netlink/socket.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/ks-error.h"
#include "kernel/ks-netfilter-socket.h"
#include "kernel/ks-netlink.h"

#define TIMEOUT_SECONDS 5
/* Every nftables transaction on the host interrupts a dump. */
#define DUMP_TRIES 20
#ifndef SO_NETNS_COOKIE /* Linux 5.14 */
#define SO_NETNS_COOKIE 71
#endif

typedef struct {
  KsNlSocket *socket;
  GChecksum *checksum;
  GPtrArray *sets; /* of char*, the names of the table's sets */
  GPtrArray *elements; /* of char*, a digest each */
  KsGuardReadback *out;
} Reader;

void
ks_guard_readback_clear (KsGuardReadback *self)
{
  g_clear_pointer (&self->digest, g_free);
  *self = (KsGuardReadback){ 0 };
}

static const char *
attribute_string (const struct nlattr *attribute)
{
  const char *text = nla_data (attribute);
  int length = nla_len (attribute);

  return length > 0 && text[length - 1] == '\0' ? text : "";
}

static guint64
attribute_be64 (const struct nlattr *attribute)
{
  guint64 value = 0;

  if (nla_len (attribute) == sizeof value)
    memcpy (&value, nla_data (attribute), sizeof value);
  return GUINT64_FROM_BE (value);
}

/* The attribute of type @type, or NULL. */
static struct nlattr *
find_attribute (struct nlmsghdr *header, int type)
{
  return nlmsg_find_attr (header, sizeof (struct nfgenmsg), type);
}

/* The name of the table is attribute 1 in every type of message. */
gboolean
ks_guard_readback_is_ours (struct nlmsghdr *header)
{
  const struct nfgenmsg *message = nlmsg_data (header);
  const struct nlattr *table;

  if (nlmsg_datalen (header) < (int) sizeof *message || message->nfgen_family != NFPROTO_INET)
    return FALSE;
  table = find_attribute (header, NFTA_TABLE_NAME);
  return table && strcmp (attribute_string (table), KS_GUARD_TABLE) == 0;
}

/* Adds the message's attributes to the digest, except the one of type @skip. Handles are included: they change only
 * with the object. */
static void
add_message (Reader *reader, struct nlmsghdr *header, int skip)
{
  const struct nlattr *attribute;
  int left;

  g_checksum_update (reader->checksum, (const guchar *) &header->nlmsg_type, sizeof header->nlmsg_type);
  nlmsg_for_each_attr (attribute, header, sizeof (struct nfgenmsg), left)
    if (nla_type (attribute) != skip)
      g_checksum_update (reader->checksum, (const guchar *) attribute, attribute->nla_len);
}

static gboolean
on_table (struct nlmsghdr *header, gpointer user_data)
{
  Reader *reader = user_data;

  if (ks_guard_readback_is_ours (header)) {
    reader->out->present = TRUE;
    add_message (reader, header, 0);
  }
  return TRUE;
}

static gboolean
on_chain_or_rule (struct nlmsghdr *header, gpointer user_data)
{
  if (ks_guard_readback_is_ours (header))
    add_message (user_data, header, 0);
  return TRUE;
}

static gboolean
on_set (struct nlmsghdr *header, gpointer user_data)
{
  Reader *reader = user_data;
  const struct nlattr *name;

  if (!ks_guard_readback_is_ours (header))
    return TRUE;
  name = find_attribute (header, NFTA_SET_NAME);
  if (!name)
    return FALSE;
  add_message (reader, header, 0);
  g_ptr_array_add (reader->sets, g_strdup (attribute_string (name)));
  return TRUE;
}

static gboolean
on_elements (struct nlmsghdr *header, gpointer user_data)
{
  Reader *reader = user_data;
  const struct nlattr *list =
    ks_guard_readback_is_ours (header) ? find_attribute (header, NFTA_SET_ELEM_LIST_ELEMENTS) : NULL;
  const struct nlattr *element;
  int left;

  if (list)
    nla_for_each_nested (element, list, left)
      g_ptr_array_add (reader->elements,
                       g_compute_checksum_for_data (G_CHECKSUM_SHA256, nla_data (element), nla_len (element)));
  return TRUE;
}

static void
read_counter (const struct nlattr *data, KsGuardCounter *counter)
{
  const struct nlattr *attribute;
  int left;

  nla_for_each_nested (attribute, data, left)
    if (nla_type (attribute) == NFTA_COUNTER_PACKETS)
      counter->packets = attribute_be64 (attribute);
    else if (nla_type (attribute) == NFTA_COUNTER_BYTES)
      counter->bytes = attribute_be64 (attribute);
}

static gboolean
on_object (struct nlmsghdr *header, gpointer user_data)
{
  Reader *reader = user_data;
  KsGuardCounters *counters = &reader->out->counters;
  const struct nlattr *name, *data;

  if (!ks_guard_readback_is_ours (header))
    return TRUE;
  name = find_attribute (header, NFTA_OBJ_NAME);
  data = find_attribute (header, NFTA_OBJ_DATA);
  if (!name || !data)
    return FALSE;
  add_message (reader, header, NFTA_OBJ_DATA);
  if (strcmp (attribute_string (name), "dropped_output") == 0)
    read_counter (data, &counters->output);
  else if (strcmp (attribute_string (name), "dropped_forward") == 0)
    read_counter (data, &counters->forward);
  else if (strcmp (attribute_string (name), "dropped_input") == 0)
    read_counter (data, &counters->input);
  return TRUE;
}

/* Dumps the objects that @type asks for; @set only for elements. Returns 0 or an errno value. */
static int
dump (Reader *reader, int type, const char *set, KsNetlinkFunc func)
{
  struct nfgenmsg family = { .nfgen_family = NFPROTO_INET, .version = NFNETLINK_V0 };
  g_autoptr (KsNlMessage) message = nlmsg_alloc_simple ((NFNL_SUBSYS_NFTABLES << 8) | type, 0);

  if (!message || nlmsg_append (message, &family, sizeof family, NLMSG_ALIGNTO) < 0)
    return ENOMEM;
  /* There are few tables and chains, and the kernel does not filter them: it would ignore a table's name. */
  if (type != NFT_MSG_GETTABLE && type != NFT_MSG_GETCHAIN
      && nla_put_string (message, NFTA_RULE_TABLE, KS_GUARD_TABLE) < 0)
    return ENOMEM;
  if (set && nla_put_string (message, NFTA_SET_ELEM_LIST_SET, set) < 0)
    return ENOMEM;
  return ks_netlink_dump (reader->socket, message, func, reader);
}

gboolean
ks_guard_readback_generation (struct nlmsghdr *header, guint32 *out)
{
  const struct nlattr *id = find_attribute (header, NFTA_GEN_ID);

  if (!id || nla_len (id) != sizeof *out)
    return FALSE;
  *out = GUINT32_FROM_BE (nla_get_u32 (id));
  return TRUE;
}

static gboolean
on_generation (struct nlmsghdr *header, gpointer user_data)
{
  return ks_guard_readback_generation (header, user_data);
}

/* Returns 0 or an errno value. */
static int
read_generation (KsNlSocket *socket, guint32 *out)
{
  struct nfgenmsg family = { .nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0 };
  g_autoptr (KsNlMessage) message = nlmsg_alloc_simple ((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETGEN, 0);

  if (!message || nlmsg_append (message, &family, sizeof family, NLMSG_ALIGNTO) < 0)
    return ENOMEM;
  return ks_netlink_ask (socket, message, on_generation, out);
}

static int
compare_strings (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

/* The kernel may list a set's elements in any order. */
static void
add_elements (Reader *reader)
{
  g_ptr_array_sort (reader->elements, compare_strings);
  for (guint i = 0; i < reader->elements->len; i++)
    g_checksum_update (reader->checksum, reader->elements->pdata[i], -1);
  g_ptr_array_set_size (reader->elements, 0);
}

/* Reads the whole table once. Returns 0 or an errno value; EINTR if it changed meanwhile. */
static int
read_table (Reader *reader)
{
  static const struct {
    int type;
    KsNetlinkFunc func;
  } dumps[] = {
    { NFT_MSG_GETCHAIN, on_chain_or_rule },
    { NFT_MSG_GETRULE, on_chain_or_rule },
    { NFT_MSG_GETSET, on_set },
    { NFT_MSG_GETOBJ, on_object },
  };
  int result;

  ks_guard_readback_clear (reader->out);
  g_checksum_reset (reader->checksum);
  g_ptr_array_set_size (reader->sets, 0);
  g_ptr_array_set_size (reader->elements, 0);

  result = dump (reader, NFT_MSG_GETTABLE, NULL, on_table);
  if (result != 0 || !reader->out->present)
    return result;
  for (guint i = 0; i < G_N_ELEMENTS (dumps); i++)
    if ((result = dump (reader, dumps[i].type, NULL, dumps[i].func)) != 0)
      return result;
  for (guint i = 0; i < reader->sets->len; i++) {
    result = dump (reader, NFT_MSG_GETSETELEM, reader->sets->pdata[i], on_elements);
    if (result != 0)
      /* deleted since it was listed */
      return result == ENOENT ? EINTR : result;
    add_elements (reader);
  }
  reader->out->digest = g_strdup (g_checksum_get_string (reader->checksum));
  return 0;
}

/* Reads everything at one generation. Returns 0 or an errno value; EINTR if it changed meanwhile. */
static int
read_once (Reader *reader)
{
  guint32 generation = 0, end = 0;
  int result = read_generation (reader->socket, &generation);

  if (result == 0)
    result = read_table (reader);
  if (result == 0)
    result = read_generation (reader->socket, &end);
  if (result != 0)
    return result;
  reader->out->generation = generation;
  return generation == end ? 0 : EINTR;
}

static void
set_error (GError **error, int result)
{
  switch (result) {
  case EPERM:
    g_set_error (error, KS_ERROR, KS_ERROR_PERMISSION, "not permitted: reading nftables needs CAP_NET_ADMIN");
    break;
  case EINVAL: /* nfnetlink without the nf_tables subsystem, and no module to load */
  case EOPNOTSUPP:
  case EPROTONOSUPPORT:
    g_set_error (error, KS_ERROR, KS_ERROR_UNSUPPORTED, "this kernel has no nf_tables (CONFIG_NF_TABLES)");
    break;
  default:
    g_set_error (error, KS_ERROR, KS_ERROR_KERNEL, "cannot read nftables table inet %s: %s", KS_GUARD_TABLE,
                 g_strerror (result));
  }
}

/* Opens a socket for netfilter. Returns 0 or an errno value. */
static int
open_socket (KsNlSocket **out)
{
  g_autoptr (KsNlSocket) socket = nl_socket_alloc ();
  struct timeval timeout = { .tv_sec = TIMEOUT_SECONDS };
  int result;

  if (!socket)
    return ENOMEM;
  errno = 0;
  result = nl_connect (socket, NETLINK_NETFILTER);
  if (result == -NLE_PROTO_MISMATCH || errno == EPROTONOSUPPORT)
    return EPROTONOSUPPORT;
  if (result < 0)
    return errno ? errno : EIO;
  setsockopt (nl_socket_get_fd (socket), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  *out = g_steal_pointer (&socket);
  return 0;
}

gboolean
ks_guard_readback (KsGuardReadback *out, GError **error)
{
  g_autoptr (KsNetfilterSocket) socket = NULL;
  g_autoptr (GChecksum) checksum = g_checksum_new (G_CHECKSUM_SHA256);
  g_autoptr (GPtrArray) sets = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GPtrArray) elements = g_ptr_array_new_with_free_func (g_free);
  Reader reader = { .checksum = checksum, .sets = sets, .elements = elements, .out = out };
  int result = open_socket (&socket);

  reader.socket = socket;
  if (result == 0) {
    result = EINTR;
    for (int i = 0; i < DUMP_TRIES && result == EINTR; i++)
      result = read_once (&reader);
  }
  if (result == 0)
    return TRUE;
  ks_guard_readback_clear (out);
  set_error (error, result);
  return FALSE;
}

gboolean
ks_guard_readback_present (guint32 *generation, guint64 *namespace)
{
  g_autoptr (KsNetfilterSocket) socket = NULL;
  socklen_t length = sizeof *namespace;

  return open_socket (&socket) == 0
         && getsockopt (nl_socket_get_fd (socket), SOL_SOCKET, SO_NETNS_COOKIE, namespace, &length) == 0
         && length == sizeof *namespace && read_generation (socket, generation) == 0;
}
