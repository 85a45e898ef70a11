/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An error in a section never widens what it exempts: unless the rest certainly
 * means what it says, nothing is exempted. There is a tunnel only if its device
 * is known.
 */
#include "input/ks-section-read.h"

#include <netinet/in.h>
#include <string.h>

#include "base/ks-error.h"
#include "base/ks-user.h"
#include "value/ks-interface.h"
#include "value/ks-prefix.h"
#include "vpn/ks-vpn-parser.h"

#define WORD "vpn"
#define KERNEL "kernel"

typedef struct {
  const char *path;
  GPtrArray *errors;
  GPtrArray *sections;
  KsSection *section; /* the section that the current line belongs to; NULL outside */
  guint seen; /* a bit for each key */
} Reader;

/* What a malformed value of a key leaves of the section. */
typedef enum {
  LEAVES_ALL, /* the value has a safe replacement */
  LEAVES_NO_TRANSPORT,
} Damage;

static void
fail (Reader *r, const char *key, const char *value, const char *what, Damage damage)
{
  ks_error_add (r->errors, "%s: [" WORD " %s] %s: '%s' is not %s", r->path, r->section->name, key, value, what);
  r->section->is_malformed = TRUE;
  r->section->exempts_nothing |= damage == LEAVES_NO_TRANSPORT;
}

/* --- one function for each key: FALSE for an invalid value --- */

/* A glob without a letter of its own would match every device, the uplinks too. */
static gboolean
read_interface (KsSection *section, const char *value)
{
  if (!ks_interface_name_is_valid (value) || value[strspn (value, "*?")] == '\0')
    return FALSE;
  section->interface = g_strdup (value);
  return TRUE;
}

static gboolean
read_mode (KsSection *section, const char *value)
{
  section->is_session = strcmp (value, "session") == 0;
  return section->is_session || strcmp (value, "strict") == 0;
}

static gboolean
read_protocol (KsSection *section, const char *value)
{
  static const struct {
    const char *word;
    guint8 number;
  } words[] = { { "udp", IPPROTO_UDP }, { "tcp", IPPROTO_TCP }, { "esp", IPPROTO_ESP }, { "gre", IPPROTO_GRE } };
  guint64 number;

  for (guint i = 0; i < G_N_ELEMENTS (words); i++)
    if (strcmp (value, words[i].word) == 0) {
      section->ip_protocol = words[i].number;
      return TRUE;
    }
  if (!g_ascii_string_to_unsigned (value, 10, 1, 255, &number, NULL))
    return FALSE;
  section->ip_protocol = (guint8) number;
  return TRUE;
}

static gboolean
read_port (KsSection *section, const char *value)
{
  return ks_vpn_parse_port (value, &section->port);
}

static gboolean
read_server_port (KsSection *section, const char *value)
{
  return ks_vpn_parse_port (value, &section->server_port);
}

/* A prefix of length 0 would be no limit at all. */
static gboolean
read_server (KsSection *section, const char *word)
{
  g_autofree char *host = ks_vpn_strip_brackets (word);
  KsPrefix prefix;

  if (ks_prefix_parse (host, &prefix, NULL)) {
    if (prefix.length == 0)
      return FALSE;
    prefix = ks_prefix_network (&prefix);
    g_ptr_array_add (section->servers, ks_prefix_format (&prefix));
    return TRUE;
  }
  if (!ks_vpn_is_host (host))
    return FALSE;
  g_ptr_array_add (section->servers, g_steal_pointer (&host));
  return TRUE;
}

static gboolean
read_to (KsSection *section, const char *value)
{
  g_auto (GStrv) words = g_strsplit_set (value, ";,", -1);

  for (char **word = words; *word; word++)
    if (*g_strstrip (*word) && !read_server (section, *word))
      return FALSE;
  return section->servers->len > 0;
}

static gboolean
read_mark (KsSection *section, const char *value)
{
  gboolean is_hex = g_str_has_prefix (value, "0x") || g_str_has_prefix (value, "0X");
  guint64 number;

  if (!g_ascii_string_to_unsigned (value + (is_hex ? 2 : 0), is_hex ? 16 : 10, 1, G_MAXUINT32, &number, NULL))
    return FALSE;
  section->mark = (guint32) number;
  return TRUE;
}

static gboolean
read_user (KsSection *section, const char *value)
{
  section->kernel = strcmp (value, KERNEL) == 0;
  return section->kernel || ks_user_find_uid (value, &section->uid);
}

static gboolean
read_placement (KsSection *section, const char *value)
{
  return ks_placement_parse (value, &section->placement);
}

static const struct {
  const char *name;
  gboolean (*read) (KsSection *section, const char *value);
  const char *what;
  Damage damage;
} keys[] = {
  { "Interface", read_interface, "the name of a network device, or a pattern such as tun*", LEAVES_ALL },
  { "Mode", read_mode, "one of strict, session", LEAVES_ALL },
  { "Protocol", read_protocol, "one of udp, tcp, esp, gre, or a number from 1 to 255", LEAVES_NO_TRANSPORT },
  { "Port", read_port, "a port from 1 to 65535", LEAVES_NO_TRANSPORT },
  { "ServerPort", read_server_port, "a port from 1 to 65535", LEAVES_NO_TRANSPORT },
  { "To", read_to, "a list of addresses, networks such as 203.0.113.0/24, and host names", LEAVES_NO_TRANSPORT },
  { "Transport", read_placement, "one of auto, inside, beside", LEAVES_ALL },
  { "Mark", read_mark, "a firewall mark from 1 to 0xffffffff", LEAVES_NO_TRANSPORT },
  { "User", read_user, "a user in /etc/passwd, or " KERNEL, LEAVES_NO_TRANSPORT },
};

static void
read_key (Reader *r, const char *key, const char *value)
{
  for (guint i = 0; i < G_N_ELEMENTS (keys); i++) {
    if (strcmp (key, keys[i].name) != 0)
      continue;
    if (r->seen & 1u << i)
      fail (r, key, value, "allowed: the key is already set", LEAVES_NO_TRANSPORT);
    else if (!keys[i].read (r->section, value))
      fail (r, key, value, keys[i].what, keys[i].damage);
    r->seen |= 1u << i;
    return;
  }
  /* the key may have been meant to narrow the transport */
  fail (r, "key", key, "known", LEAVES_NO_TRANSPORT);
}

static void
read_line (Reader *r, const char *line)
{
  const char *equals = strchr (line, '=');
  g_autofree char *key = NULL;
  g_autofree char *value = NULL;

  if (*line == '\0' || *line == '#')
    return;
  if (!equals) {
    fail (r, "line", line, "of the form Key=value", LEAVES_NO_TRANSPORT);
    return;
  }
  key = g_strchomp (g_strndup (line, equals - line));
  value = g_strstrip (g_strdup (equals + 1));
  read_key (r, key, value);
}

/* --- the section as a whole --- */

static gboolean
has_ports (guint8 ip_protocol)
{
  return ip_protocol == 0 || ip_protocol == IPPROTO_UDP || ip_protocol == IPPROTO_TCP || ip_protocol == IPPROTO_SCTP
         || ip_protocol == IPPROTO_DCCP || ip_protocol == IPPROTO_UDPLITE;
}

/* Checks the section as a whole. */
static void
check (Reader *r)
{
  KsSection *section = r->section;

  if (!(r->seen & 1)) { /* the first key */
    ks_error_add (r->errors, "%s: [" WORD " %s]: Interface is missing: the name of the VPN's network device", r->path,
                  section->name);
    section->is_malformed = TRUE;
  }
  if (!section->port && !section->server_port && !section->mark && section->servers->len == 0
      && !section->exempts_nothing) {
    ks_error_add (r->errors,
                  "%s: [" WORD
                  " %s]: at least one of Port, ServerPort, To, Mark is needed to recognise the VPN's packets",
                  r->path, section->name);
    section->is_malformed = section->exempts_nothing = TRUE;
  }
  if ((section->port || section->server_port) && !has_ports (section->ip_protocol)) {
    ks_error_add (r->errors, "%s: [" WORD " %s] Protocol: protocol %u has no ports", r->path, section->name,
                  section->ip_protocol);
    section->is_malformed = section->exempts_nothing = TRUE;
  }
  if (section->is_malformed)
    section->is_session = FALSE;
}

/* Ends a section. Of two sections with the same name, the first one counts, as malformed. */
static void
finish (Reader *r)
{
  KsSection *first;

  if (!r->section)
    return;
  check (r);
  first = (KsSection *) ks_section_find (r->sections, r->section->name);
  if (first) {
    ks_error_add (r->errors, "%s: there are two sections [" WORD " %s]", r->path, first->name);
    first->is_malformed = first->exempts_nothing = TRUE;
    first->is_session = FALSE;
    ks_section_free (r->section);
  } else {
    g_ptr_array_add (r->sections, r->section);
  }
  r->section = NULL;
}

static void
begin (Reader *r, const char *line)
{
  gsize length = strlen (line);
  gboolean is_closed = line[length - 1] == ']';
  g_autofree char *inner = g_strndup (line + 1, length - (is_closed ? 2 : 1));
  g_autofree char *valid = g_utf8_make_valid (g_strstrip (inner + strlen (WORD)), -1);

  r->seen = 0;
  r->section = ks_section_new (valid);
  if (is_closed && *valid && strcmp (valid, inner + strlen (WORD)) == 0)
    return;
  ks_error_add (r->errors, "%s: section '%s' is not of the form [" WORD " NAME]", r->path, line);
  r->section->is_malformed = r->section->exempts_nothing = TRUE;
}

/* True if @line begins a [vpn NAME] section, well-formed or not. */
static gboolean
is_header (const char *line)
{
  const char *after = line + 1 + strlen (WORD);

  return g_str_has_prefix (line, "[" WORD) && (*after == '\0' || *after == ']' || g_ascii_isspace (*after));
}

char *
ks_section_read (const char *path, const char *text, GPtrArray *sections, GPtrArray *errors)
{
  Reader r = { .path = path, .errors = errors, .sections = sections };
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  GString *rest = g_string_new (NULL);

  for (char **line = lines; *line; line++) {
    g_autofree char *stripped = g_strstrip (g_strdup (*line));

    if (*stripped == '[')
      finish (&r);
    if (is_header (stripped))
      begin (&r, stripped);
    else if (r.section)
      read_line (&r, stripped);
    else
      g_string_append_printf (rest, "%s\n", *line);
  }
  finish (&r);
  return g_string_free (rest, FALSE);
}
