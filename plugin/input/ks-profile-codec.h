/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Serialises what was read from a keyfile.
 */
#pragma once

#include "base/ks-bytes.h"
#include "input/ks-keyfile.h"

/* Appends @keyfile, which must have no errors and no warnings, to @out: everything except its profile's users. */
void ks_profile_encode (const KsKeyfile *keyfile, GByteArray *out);
/* The next keyfile in @bytes (transfer full); NULL if ks_profile_encode() would not have written it. */
KsKeyfile *ks_profile_decode (KsBytes *bytes);
