/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the guard was when it was last read, valid as long as nothing in the
 * whole of nftables has changed since.
 */
#pragma once

#include "kernel/ks-guard-readback.h"

/*
 * The digest of the guard that the kernel holds, without reading it (transfer
 * full); NULL if it has to be read. @state_path is as for ks_guard_apply().
 */
char *ks_guard_memory_recall (const char *state_path);
/* Records what was read. If that fails, the guard is merely read again. */
void ks_guard_memory_note (const char *state_path, const KsGuardReadback *kernel);
/* Removes the record. */
void ks_guard_memory_forget (const char *state_path);
