/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The notice: what a user of the desktop is told when the state of the kill
 * switch is no longer the one they were told last. A pure value.
 *
 * | now        | told before                           | what is said               |
 * | ---------- | ------------------------------------- | -------------------------- |
 * | blocking   | anything, and the VPN was up          | VPN lost                   |
 * |            | anything else, or nothing             | VPN down                   |
 * | protected  | blocking, and the VPN was up          | VPN is back                |
 * |            | blocking, and it never was            | VPN is up                  |
 * |            | held, incomplete, released            | kill switch is back on     |
 * |            | off, or nothing                       | nothing: as it should be   |
 * | incomplete | anything else, or nothing             | incomplete                 |
 * | held       | anything else, or nothing             | a profile cannot be read   |
 * | released   | anything else, or nothing             | released                   |
 * | off        | protected, blocking, held, incomplete | off                        |
 * |            | released, or nothing                  | nothing: not armed         |
 */
#pragma once

#include "state/ks-summary-file.h"

/* The values used on the bus: Desktop Notifications Specification 1.2, "Urgency Levels". */
typedef enum {
  KS_URGENCY_LOW = 0,
  KS_URGENCY_NORMAL = 1,
  KS_URGENCY_CRITICAL = 2, /* stays until the user closes it */
} KsUrgency;

/* The keys of actions: release everything; or bring up a profile, followed by its UUID. */
#define KS_NOTICE_RELEASE "release"
#define KS_NOTICE_CONNECT "connect:"

typedef struct {
  char *key;
  char *label;
} KsNoticeAction;

typedef struct {
  char *title; /* one line of plain text */
  char *body; /* plain text; names of profiles are made printable */
  const char *icon; /* a name of the Icon Naming Specification */
  const char *category; /* of the Desktop Notifications Specification */
  KsUrgency urgency;
  GPtrArray *actions; /* of KsNoticeAction; at most four */
} KsNotice;

/*
 * What to tell a user who was last told the state @told (nullable: nothing yet)
 * when the state is @now's. @was_up: a VPN has been up since the kill switch was
 * turned on, as far as the user knows; otherwise nothing can be lost or come
 * back. NULL: nothing (transfer full).
 */
KsNotice *ks_notice_new (const char *told, gboolean was_up, const KsSummary *now);
void ks_notice_free (KsNotice *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsNotice, ks_notice_free)

/* The UUID of the profile that the action @key brings up; NULL for another action. Points into @key. */
const char *ks_notice_get_uuid (const char *key);
