/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The name of a network device.
 */
#pragma once

#include <glib.h>

/* Whether @name may be an interface: 1 to 15 bytes without '/', white space, ':' or control characters. That is what
 * the kernel accepts (dev_valid_name(), net/core/dev.c), less what no name should hold. */
gboolean ks_interface_name_is_valid (const char *name);
