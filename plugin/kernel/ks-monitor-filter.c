/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel runs a filter on each notification before queueing it
 * (do_one_broadcast(), net/netlink/af_netlink.c). A packet holds one
 * notification of routing, or several of nftables (nft_commit_notify(), since
 * 5.10).
 *
 * Loads are big-endian and messages are not, so constants are swapped. A load
 * beyond the end drops the packet, so lengths are compared first.
 */
#include "kernel/ks-monitor-filter.h"

#include <arpa/inet.h>
#include <linux/fib_rules.h>
#include <linux/filter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "kernel/ks-guard.h"

/* How many messages of a packet are examined. A packet with more passes. */
#define MAX_MESSAGES 8
/* Messages about nf_tables objects begin with their table, in an attribute of this number (NFTA_*_TABLE). */
#define ANY_NFTA_TABLE 1

#define PASS G_MAXUINT32
#define DROP 0

/* Scratch memory of the program. */
enum { MEM_OFFSET, MEM_LENGTH, MEM_BYTE };

static void
emit (GArray *program, guint16 code, guint8 if_true, guint8 if_false, guint32 k)
{
  struct sock_filter instruction = BPF_JUMP (code, k, if_true, if_false);

  g_array_append_val (program, instruction);
}

static void
load (GArray *program, guint16 code, guint32 k)
{
  emit (program, code, 0, 0, k);
}

static void
finish (GArray *program, guint32 verdict)
{
  emit (program, BPF_RET | BPF_K, 0, 0, verdict);
}

/* Ends with @verdict if comparing the accumulator with @k gives true. */
static void
finish_if (GArray *program, guint16 comparison, guint32 k, guint32 verdict)
{
  emit (program, BPF_JMP | comparison | BPF_K, 0, 1, k);
  finish (program, verdict);
}

static void
finish_unless (GArray *program, guint16 comparison, guint32 k, guint32 verdict)
{
  emit (program, BPF_JMP | comparison | BPF_K, 1, 0, k);
  finish (program, verdict);
}

/* A jump whose distance is not known yet; returns its position. */
static guint
jump (GArray *program)
{
  emit (program, BPF_JMP | BPF_JA, 0, 0, 0);
  return program->len - 1;
}

/* Makes the jump at @place lead to the next instruction. */
static void
land (GArray *program, guint place)
{
  g_array_index (program, struct sock_filter, place).k = program->len - 1 - place;
}

/*
 * Loads a four-byte number in this machine's byte order into the accumulator.
 * It is at the offset in MEM_OFFSET plus @at.
 */
static void
load_number (GArray *program, guint32 at)
{
  for (guint i = 0; i < 4; i++) {
    guint32 byte = G_BYTE_ORDER == G_LITTLE_ENDIAN ? 3 - i : i; /* the highest first */

    load (program, BPF_LDX | BPF_MEM, MEM_OFFSET);
    load (program, BPF_LD | BPF_B | BPF_IND, at + byte);
    if (i > 0) {
      load (program, BPF_LDX | BPF_MEM, MEM_BYTE);
      load (program, BPF_ALU | BPF_OR | BPF_X, 0);
    }
    if (i < 3) {
      load (program, BPF_ALU | BPF_LSH | BPF_K, 8);
      load (program, BPF_ST, MEM_BYTE);
    }
  }
}

/* Loads the offset of an attribute into the accumulator, MEM_OFFSET and the index register; passes if there is none. */
static void
find_attribute (GArray *program, guint32 header_size, guint32 type)
{
  load (program, BPF_LDX | BPF_IMM, type);
  load (program, BPF_LD | BPF_IMM, NLMSG_HDRLEN + header_size);
  load (program, BPF_LD | BPF_W | BPF_ABS, (guint32) (SKF_AD_OFF + SKF_AD_NLATTR));
  finish_if (program, BPF_JEQ, 0, PASS);
  load (program, BPF_MISC | BPF_TAX, 0);
  load (program, BPF_ST, MEM_OFFSET);
}

/*
 * A rule after ours decides nothing: our last one, for all packets, is
 * `unreachable`. This holds only while our rules exist, with their present
 * numbers; when those change, rules of ours are deleted, which is notified.
 */
static void
judge_rule (GArray *program, const KsConfig *config)
{
  find_attribute (program, sizeof (struct fib_rule_hdr), FRA_PRIORITY);
  load_number (program, NLA_HDRLEN);
  finish_if (program, BPF_JGE, config->priority + KS_PRIORITY_WINDOW, DROP);
  finish (program, PASS);
}

static void
judge_route (GArray *program, const KsConfig *config, KsInterest interest)
{
  const guint32 tables[] = { config->table, config->tunnel_table, config->uplink_table, config->servers_table };

  find_attribute (program, sizeof (struct rtmsg), RTA_TABLE);
  load (program, BPF_LD | BPF_W | BPF_IND, NLA_HDRLEN);
  if (interest & KS_INTEREST_MAIN)
    finish_if (program, BPF_JEQ, htonl (RT_TABLE_MAIN), PASS);
  if (interest & KS_INTEREST_OWN) {
    for (guint i = 0; i < G_N_ELEMENTS (tables); i++)
      finish_if (program, BPF_JEQ, htonl (tables[i]), PASS);
    for (guint i = 0; i < KS_MANAGEMENT_TABLES; i++)
      finish_if (program, BPF_JEQ, htonl (config->management_table + i), PASS);
  }
  finish (program, DROP);
}

static void
judge (GArray *program, guint16 type, const KsConfig *config, KsInterest interest)
{
  switch (type) {
  case RTM_NEWRULE:
  case RTM_DELRULE:
    if (interest & KS_INTEREST_OWN)
      judge_rule (program, config);
    else
      finish (program, type == RTM_NEWRULE ? PASS : DROP);
    break;
  case RTM_NEWROUTE:
  case RTM_DELROUTE:
    if (interest & (KS_INTEREST_OWN | KS_INTEREST_MAIN))
      judge_route (program, config, interest);
    else
      finish (program, DROP);
    break;
  case RTM_NEWADDR:
  case RTM_DELADDR:
    finish (program, interest & (KS_INTEREST_DEVICES | KS_INTEREST_ADDRESSES) ? PASS : DROP);
    break;
  case RTM_DELNEXTHOP:
    finish (program, interest & KS_INTEREST_MAIN ? PASS : DROP);
    break;
  case RTM_NEWNEXTHOP: /* routes that use one, or another one, are notified themselves */
  case RTM_NEWNEXTHOPBUCKET:
    finish (program, DROP);
    break;
  default: /* devices */
    finish (program, interest & KS_INTEREST_DEVICES ? PASS : DROP);
  }
}

GArray *
ks_monitor_filter_routing (const KsConfig *config, KsInterest interest)
{
  static const guint16 types[] = { RTM_NEWROUTE,   RTM_DELROUTE,   RTM_NEWLINK,         RTM_DELLINK,
                                   RTM_NEWADDR,    RTM_DELADDR,    RTM_NEWRULE,         RTM_DELRULE,
                                   RTM_NEWNEXTHOP, RTM_DELNEXTHOP, RTM_NEWNEXTHOPBUCKET };
  GArray *program = g_array_new (FALSE, FALSE, sizeof (struct sock_filter));

  load (program, BPF_LD | BPF_W | BPF_LEN, 0);
  finish_unless (program, BPF_JGE, NLMSG_HDRLEN, PASS);
  load (program, BPF_LD | BPF_H | BPF_ABS, offsetof (struct nlmsghdr, nlmsg_type));
  for (guint i = 0; i < G_N_ELEMENTS (types); i++) {
    guint other;

    emit (program, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, htons (types[i]));
    other = jump (program);
    judge (program, types[i], config, interest);
    land (program, other);
  }
  finish (program, PASS);
  return program;
}

/* Passes if the attribute after the message's header is our table's name; keeps MEM_OFFSET. */
static void
compare_table (GArray *program)
{
  const guint32 attribute = NLMSG_HDRLEN + sizeof (struct nfgenmsg);
  const guint32 name = attribute + NLA_HDRLEN;
  guint32 words[sizeof KS_GUARD_TABLE / 4 + 1] = { 0 };
  guint others[G_N_ELEMENTS (words) + 1];
  guint count = 0;

  load (program, BPF_LDX | BPF_MEM, MEM_OFFSET);
  load (program, BPF_LD | BPF_H | BPF_IND, attribute + offsetof (struct nlattr, nla_type));
  finish_unless (program, BPF_JEQ, htons (ANY_NFTA_TABLE), PASS);
  load (program, BPF_LD | BPF_H | BPF_IND, attribute + offsetof (struct nlattr, nla_len));
  emit (program, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, htons (NLA_HDRLEN + sizeof KS_GUARD_TABLE));
  others[count++] = jump (program);
  /* as many bytes as the name with its terminator; the attribute's padding is there too, and zero */
  memcpy (words, KS_GUARD_TABLE, sizeof KS_GUARD_TABLE);
  load (program, BPF_LD | BPF_W | BPF_LEN, 0);
  load (program, BPF_ALU | BPF_SUB | BPF_X, 0);
  finish_unless (program, BPF_JGE, name + NLA_ALIGN (sizeof KS_GUARD_TABLE), PASS);
  for (guint i = 0; i < NLA_ALIGN (sizeof KS_GUARD_TABLE) / 4; i++) {
    load (program, BPF_LD | BPF_W | BPF_IND, name + 4 * i);
    emit (program, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, ntohl (words[i]));
    others[count++] = jump (program);
  }
  finish (program, PASS);
  for (guint i = 0; i < count; i++)
    land (program, others[i]);
}

GArray *
ks_monitor_filter_nftables (void)
{
  GArray *program = g_array_new (FALSE, FALSE, sizeof (struct sock_filter));

  load (program, BPF_LD | BPF_IMM, 0);
  load (program, BPF_ST, MEM_OFFSET);
  for (guint i = 0; i < MAX_MESSAGES; i++) {
    load (program, BPF_LDX | BPF_MEM, MEM_OFFSET);
    load (program, BPF_LD | BPF_W | BPF_LEN, 0);
    if (i > 0) {
      emit (program, BPF_JMP | BPF_JGT | BPF_X, 1, 0, 0); /* more is left */
      finish (program, DROP);
    }
    load (program, BPF_ALU | BPF_SUB | BPF_X, 0);
    finish_unless (program, BPF_JGE, NLMSG_HDRLEN + sizeof (struct nfgenmsg) + NLA_HDRLEN, PASS);
    compare_table (program);
    load_number (program, offsetof (struct nlmsghdr, nlmsg_len));
    finish_unless (program, BPF_JGE, NLMSG_HDRLEN, PASS);
    finish_if (program, BPF_JGE, G_MAXUINT16, PASS);
    load (program, BPF_ALU | BPF_ADD | BPF_K, NLMSG_ALIGNTO - 1);
    load (program, BPF_ALU | BPF_AND | BPF_K, ~(guint32) (NLMSG_ALIGNTO - 1));
    load (program, BPF_LDX | BPF_MEM, MEM_OFFSET);
    load (program, BPF_ALU | BPF_ADD | BPF_X, 0);
    load (program, BPF_ST, MEM_OFFSET);
  }
  load (program, BPF_LDX | BPF_MEM, MEM_OFFSET);
  load (program, BPF_LD | BPF_W | BPF_LEN, 0);
  emit (program, BPF_JMP | BPF_JGT | BPF_X, 1, 0, 0);
  finish (program, DROP);
  finish (program, PASS);
  return program;
}

char *
ks_monitor_filter_digest (const KsConfig *config, KsInterest interest)
{
  g_autoptr (GArray) routing = ks_monitor_filter_routing (config, interest);
  g_autoptr (GArray) nftables = ks_monitor_filter_nftables ();
  g_autoptr (GChecksum) checksum = g_checksum_new (G_CHECKSUM_SHA256);

  g_checksum_update (checksum, (const guchar *) routing->data, routing->len * sizeof (struct sock_filter));
  g_checksum_update (checksum, (const guchar *) nftables->data, nftables->len * sizeof (struct sock_filter));
  return g_strdup (g_checksum_get_string (checksum));
}

/* The netlink protocol of a socket; -1 for anything else. */
static int
protocol_of (int fd)
{
  int domain = 0, protocol = 0;
  socklen_t size = sizeof domain;

  if (getsockopt (fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0 || domain != AF_NETLINK)
    return -1;
  size = sizeof protocol;
  if (getsockopt (fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) < 0)
    return -1;
  return protocol;
}

gboolean
ks_monitor_filter_attach (const int *sockets, guint count, const KsConfig *config, KsInterest interest)
{
  g_autoptr (GArray) routing = ks_monitor_filter_routing (config, interest);
  g_autoptr (GArray) nftables = ks_monitor_filter_nftables ();
  gboolean ok = TRUE;

  for (guint i = 0; i < count; i++) {
    int protocol = protocol_of (sockets[i]);
    const GArray *chosen = protocol == NETLINK_NETFILTER ? nftables : routing;
    struct sock_fprog program = { (unsigned short) chosen->len, (struct sock_filter *) (gpointer) chosen->data };

    if (protocol != NETLINK_ROUTE && protocol != NETLINK_NETFILTER)
      continue;
    if (setsockopt (sockets[i], SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0)
      continue;
    /* an older filter must not stay behind */
    ks_monitor_filter_detach (&sockets[i], 1);
    ok = FALSE;
  }
  return ok;
}

void
ks_monitor_filter_detach (const int *sockets, guint count)
{
  int none = 0;

  for (guint i = 0; i < count; i++)
    if (protocol_of (sockets[i]) >= 0)
      setsockopt (sockets[i], SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof none);
}

gboolean
ks_monitor_filter_is_attached (const int *sockets, guint count)
{
  for (guint i = 0; i < count; i++) {
    socklen_t instructions =
      0; /* the kernel counts these, not bytes; with none asked for it tells how many there are */

    if (protocol_of (sockets[i]) >= 0
        && (getsockopt (sockets[i], SOL_SOCKET, SO_GET_FILTER, NULL, &instructions) < 0 || instructions == 0))
      return FALSE;
  }
  return TRUE;
}
