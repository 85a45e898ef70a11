/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/ks-paths.h"

#include <errno.h>
#include <glib/gstdio.h>

#include "base/ks-error.h"

/* NetworkManager's own directories, highest precedence first; our SYSCONFDIR does not affect them. */
static const KsProfileDirectory profile_directories[] = {
  { "/run/NetworkManager/system-connections", .tombstones = TRUE },
  { "/etc/NetworkManager/system-connections", .any_name = TRUE, .tombstones = TRUE, .is_configured = TRUE },
  { "/usr/lib/NetworkManager/system-connections" },
  { NULL },
};

static const char *const zone_directories[] = { "/etc/firewalld/zones", "/usr/lib/firewalld/zones", NULL };

const KsPaths ks_paths_default = {
  .config = KS_SYSCONFDIR "/nm-killswitch.conf",
  .profiles = profile_directories,
  .nm_config = { .main = { "/etc/NetworkManager/nm-system-settings.conf", "/etc/NetworkManager/NetworkManager.conf" },
                 .lib = "/usr/lib/NetworkManager/conf.d",
                 .run = "/run/NetworkManager/conf.d",
                 .etc = "/etc/NetworkManager/conf.d" },
  .state = KS_LOCALSTATEDIR "/lib/nm-killswitch/state",
  .runtime = KS_RUNSTATEDIR "/nm-killswitch",
  .command_line = "/proc/cmdline",
  .resolv_conf = "/etc/resolv.conf",
  .boot_id = "/proc/sys/kernel/random/boot_id",
  .zones = zone_directories,
  .dispatcher = "/usr/lib/NetworkManager/dispatcher.d/no-wait.d/10-killswitch",
  .nm_dispatcher = "/usr/libexec/nm-dispatcher", /* elsewhere on Arch, which has no SELinux */
  .selinux_enforce = "/sys/fs/selinux/enforce",
  .selinux_module = KS_DATADIR "/nm-killswitch/nm-killswitch.cil",
};

char *
ks_paths_runtime (const KsPaths *self, const char *name)
{
  return g_build_filename (self->runtime, name, NULL);
}

gboolean
ks_paths_make_runtime (const KsPaths *self, GError **error)
{
  if (g_mkdir_with_parents (self->runtime, 0755) == 0)
    return TRUE;
  g_set_error (error, KS_ERROR, KS_ERROR_IO, "cannot make %s: %s", self->runtime, g_strerror (errno));
  return FALSE;
}

char *
ks_paths_read_line (const char *path)
{
  g_autofree char *text = NULL;

  return g_file_get_contents (path, &text, NULL, NULL) ? g_strdup (g_strstrip (text)) : NULL;
}
