/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A [vpn NAME] section of the configuration: a VPN that NetworkManager does
 * not start, described by its device and its transport.
 */
#pragma once

#include "value/ks-placement.h"

typedef struct {
  char *name;
  char *interface; /* device name or glob; NULL if malformed: then no device is the tunnel */
  gboolean is_session; /* armed from the device's appearance, not from boot */
  guint8 ip_protocol; /* 0 for any */
  guint16 port; /* source port; 0 for any */
  guint16 server_port; /* destination port; 0 for any */
  guint32 mark; /* 0 for none */
  GPtrArray *servers; /* of char*: addresses, prefixes and names; empty for any address */
  guint32 uid; /* who sends the transport besides root */
  gboolean kernel; /* no process owns the transport's packets */
  KsPlacement placement;
  gboolean is_malformed; /* it has an error: armed strict */
  gboolean exempts_nothing; /* the error may have been meant to narrow the transport, so there is none */
} KsSection;

KsSection *ks_section_new (const char *name);
void ks_section_free (KsSection *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsSection, ks_section_free)

/* The section with @name among @sections (of KsSection); NULL for none (transfer none). */
const KsSection *ks_section_find (const GPtrArray *sections, const char *name);
/* True if the device @name matches @pattern, a device name in which '*' stands for any text and '?' for a character. */
gboolean ks_section_is_device (const char *pattern, const char *name);
