/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * resolv.conf(5): the DNS servers that programs ask.
 */
#pragma once

#include "value/ks-prefix.h"

/*
 * The addresses after "nameserver" in @path, except for those of a resolver on
 * the host itself, whose upstream servers are not known here (KsPrefix, hosts;
 * transfer full). Empty without a file, or if @path is NULL.
 */
GArray *ks_resolv_conf_read (const char *path);
