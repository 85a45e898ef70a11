/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A NetworkManager that a test makes up: objects with properties, on a bus of
 * the test's own, which the code under test takes for the system bus.
 */
#pragma once

#include <gio/gio.h>

typedef struct _KsTestBus KsTestBus;
typedef struct _KsTestNm KsTestNm;

/* A bus of the test's own, which is the system bus from now on, with nobody on it. */
KsTestBus *ks_test_bus_new (void);
/* Ends it; there is no system bus then. */
void ks_test_bus_free (KsTestBus *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsTestBus, ks_test_bus_free)

/* A bus with a NetworkManager without any object. */
KsTestNm *ks_test_nm_new (void);
/* Ends both; there is no system bus then. */
void ks_test_nm_free (KsTestNm *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsTestNm, ks_test_nm_free)

/* Points the code under test to a system bus that is not there. */
void ks_test_no_bus (void);

/*
 * Sets the properties of an interface of an object: a{sv} in GVariant's text
 * format. @path is what follows /org/freedesktop/NetworkManager, @interface
 * what follows org.freedesktop.NetworkManager, both may be "".
 */
void ks_test_nm_set (KsTestNm *self, const char *path, const char *interface, const char *properties);
/* From now on only the next @count questions are answered, the rest gets no answer at all. */
void ks_test_nm_silence_after (KsTestNm *self, guint count);
/* How many questions there were. */
guint ks_test_nm_questions (KsTestNm *self);

/* --- the objects NetworkManager 1.42 has, in short --- */

/* @active and @devices are numbers between spaces; @state is an NMState. */
void ks_test_nm_main (KsTestNm *self, guint state, const char *active, const char *devices);
/* Device @number with IP configurations @ip4 and @ip6; 0 for none. */
void ks_test_nm_device (KsTestNm *self, guint number, const char *interface, guint ip4, guint ip6);
/* @devices is numbers between spaces. */
void ks_test_nm_active (KsTestNm *self, guint number, const char *uuid, gboolean vpn, guint state, const char *devices,
                        guint ip4, guint ip6);
/* Words between spaces: @addresses "10.8.0.2/24", @routes "10.99.0.0/16>10.8.0.1" or without a next hop, @dns
 * "10.8.0.1". */
void ks_test_nm_ip4 (KsTestNm *self, guint number, const char *addresses, const char *gateway, const char *routes,
                     const char *dns);
void ks_test_nm_ip6 (KsTestNm *self, guint number, const char *addresses, const char *gateway, const char *routes,
                     const char *dns);
void ks_test_nm_wireguard (KsTestNm *self, guint device, guint16 listen_port, guint32 fwmark);
