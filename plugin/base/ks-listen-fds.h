/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The sockets that systemd passes to a service that it starts for them. This is
 * sd_listen_fds(3) without libsystemd, which loads six libraries to compress and
 * encrypt its journal: that took a third of the start-up time. $LISTEN_PID and
 * $LISTEN_FDS are stable, and may be read without libsystemd ("File Descriptor
 * Passing" in systemd's Portability and Stability chart).
 */
#pragma once

#include <glib.h>

/* The first descriptor that is passed; the others follow it. */
#define KS_LISTEN_FDS_START 3

/*
 * Returns how many descriptors were passed to this process, and sets FD_CLOEXEC
 * on each; 0 if there are none, if they were meant for another process, or if
 * the environment says anything that systemd would not. At most @most.
 */
guint ks_listen_fds (guint most);
