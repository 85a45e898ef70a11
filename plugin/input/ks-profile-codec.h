/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What was read from a keyfile, as bytes.
 */
#pragma once

#include "base/ks-bytes.h"
#include "input/ks-keyfile.h"

/* Appends @keyfile, of which there is no error and no warning, to @out: all of it but the users of its profile. */
void ks_profile_encode (const KsKeyfile *keyfile, GByteArray *out);
/* The next one of @bytes (transfer full); NULL when it is not what ks_profile_encode() makes. */
KsKeyfile *ks_profile_decode (KsBytes *bytes);
