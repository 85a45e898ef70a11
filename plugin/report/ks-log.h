/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages: to the journal with fields; errors and warnings also to standard
 * error, unless that is the journal. Called only by the programs' entry points.
 */
#pragma once

#include "run/ks-reconcile.h"

/*
 * MESSAGE_ID of journal messages (sd-journal(3)); new ones with `systemd-id128
 * new`. nm-conf/nm-killswitch.catalog explains each of them.
 */
#define KS_MESSAGE_ARMED "8e6f894ef1b0424097d68e67559d67b1"
#define KS_MESSAGE_DISARMED "7c1c824d2de043c5b0e77106811f69b7"
#define KS_MESSAGE_PROTECTED "d50034d25dd84f6083e7245d7a022ca4"
#define KS_MESSAGE_BLOCKED "acc322d375da4b7ea4391ffcc55dcd59"
#define KS_MESSAGE_INCOMPLETE "774e543b78154a40b279cc9edf7c4935"
#define KS_MESSAGE_RELEASED "c3c0b9de7d5f4a53b0f4a1a1f2d9a7e4"
#define KS_MESSAGE_CHANGED "8f0a6d7e52b14c39a6a9c7f43f5b8d10"
#define KS_MESSAGE_HEALED "0d9f6b1e7c5a4e2fb3a8c1d4e5f60718"
#define KS_MESSAGE_WARNING "49f10517f6b0454486a3c0973d54a169"
#define KS_MESSAGE_ERROR "e17d4c9b2f6a4b7c9d3e5f8a1b0c2d46"

/* Sets the program name that precedes each message on standard error. */
void ks_log_init (const char *program);
/*
 * Logs what a run did and each of its errors; @what names the occasion, such as
 * "event vpn-up of tun0". Warnings are logged only if they differ from those of
 * the run before, remembered in a file in the runtime directory: there is a run
 * for each event, and an unsolved problem is no news. With @show, for a command
 * run by a person, warnings are always shown.
 */
void ks_log_report (const KsReport *report, const KsPaths *paths, const char *what, gboolean show);
/* One error. */
void ks_log_error (const GError *error);
/* What a round of healing found and repaired. */
void ks_log_healed (const KsReport *report, gboolean insists);
