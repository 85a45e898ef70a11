/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the guard was when it was read last, as long as nothing has changed in
 * the whole of nftables since.
 */
#pragma once

#include "kernel/ks-guard-readback.h"

/*
 * The digest of the guard that the kernel holds, without reading it (transfer
 * full); NULL when it has to be read. @state_path is as for ks_guard_apply().
 */
char *ks_guard_memory_recall (const char *state_path);
/* Notes what was read. Nothing but time is lost when that fails. */
void ks_guard_memory_note (const char *state_path, const KsGuardReadback *kernel);
/* Removes what was noted. */
void ks_guard_memory_forget (const char *state_path);
