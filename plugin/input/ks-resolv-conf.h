/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * resolv.conf(5): the DNS servers that programs ask.
 */
#pragma once

#include "value/ks-prefix.h"

/*
 * The addresses after "nameserver" in @path, but for those of a resolver on the
 * host itself, of which nobody knows here whom it asks (KsPrefix, hosts;
 * transfer full). Empty without a file. NULL for @path is no file.
 */
GArray *ks_resolv_conf_read (const char *path);
