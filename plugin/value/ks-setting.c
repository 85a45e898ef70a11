/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "value/ks-setting.h"

#include <string.h>

static gboolean
has_zone (char **zones, const char *zone)
{
  return zone && *zone && g_strv_contains ((const char *const *) zones, zone);
}

/* Whether @zone is one of the two that come with the program, which mean nothing to other programs. */
static gboolean
is_own_zone (const char *zone)
{
  g_autoptr (KsConfig) defaults = ks_config_new ();

  return has_zone (defaults->zones, zone) || has_zone (defaults->session_zones, zone);
}

gboolean
ks_setting_apply (const KsSetting *self, const KsConfig *config, KsProfile *profile)
{
  profile->mode = KS_MODE_OFF;
  profile->reason = KS_REASON_NONE;
  if (self->mode) {
    profile->reason = KS_REASON_USER_DATA;
    if (ks_mode_parse (self->mode, &profile->mode))
      return TRUE;
    profile->mode = KS_MODE_STRICT;
    profile->reason = KS_REASON_INVALID;
    return FALSE;
  }
  if (has_zone (config->zones, self->zone))
    profile->mode = KS_MODE_STRICT;
  else if (has_zone (config->session_zones, self->zone))
    profile->mode = KS_MODE_SESSION;
  if (profile->mode != KS_MODE_OFF)
    profile->reason = KS_REASON_ZONE;
  return TRUE;
}

KsSetting
ks_setting_enable (const KsSetting *self, const KsConfig *config, KsMode mode, gboolean is_zone_free)
{
  char **zones = mode == KS_MODE_SESSION ? config->session_zones : config->zones;
  gboolean is_replaceable = !self->zone || !*self->zone || is_own_zone (self->zone) || is_zone_free;

  if (has_zone (zones, self->zone))
    return (KsSetting){ .zone = self->zone };
  if (is_replaceable && zones[0])
    return (KsSetting){ .zone = zones[0] };
  return (KsSetting){ .zone = self->zone, .mode = ks_mode_format (mode) };
}

KsSetting
ks_setting_disable (const KsSetting *self, const KsConfig *config)
{
  if (!has_zone (config->zones, self->zone) && !has_zone (config->session_zones, self->zone))
    return (KsSetting){ .zone = self->zone };
  if (is_own_zone (self->zone))
    return (KsSetting){ .zone = "" };
  return (KsSetting){ .zone = self->zone, .mode = ks_mode_format (KS_MODE_OFF) };
}

gboolean
ks_setting_equal (const KsSetting *a, const KsSetting *b)
{
  return g_strcmp0 (a->zone ? a->zone : "", b->zone ? b->zone : "") == 0 && g_strcmp0 (a->mode, b->mode) == 0;
}
