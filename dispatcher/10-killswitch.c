/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The dispatcher program: NetworkManager's dispatcher runs it for every event,
 * with an interface, an action and an environment. Whatever the event, it
 * reconciles. An event that cannot be parsed is an error, but it reconciles all
 * the same.
 */
#include <unistd.h>

#include "base/ks-error.h"
#include "base/ks-user.h"
#include "report/ks-log.h"
#include "run/ks-reconcile.h"

/* Whether NetworkManager delays an activation or deactivation until this program ends. */
static gboolean
is_awaited (KsAction action)
{
  switch (action) {
  case KS_ACTION_PRE_UP:
  case KS_ACTION_PRE_DOWN:
  case KS_ACTION_VPN_PRE_UP:
  case KS_ACTION_VPN_PRE_DOWN:
    return TRUE;
  default:
    return FALSE;
  }
}

static char *
describe (const KsEvent *event)
{
  g_autofree char *id = NULL;

  if (!event)
    return g_strdup ("malformed event");
  if (!event->interface)
    return g_strdup_printf ("event %s", ks_action_format (event->action));
  if (!event->id)
    return g_strdup_printf ("event %s of %s", ks_action_format (event->action), event->interface);
  id = ks_error_printable (event->id);
  return g_strdup_printf ("event %s of %s (%s)", ks_action_format (event->action), event->interface, id);
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (KsEvent) event = NULL;
  g_autoptr (KsReport) report = NULL;
  g_autofree char *what = NULL;
  KsReconcileFlags flags = KS_RECONCILE_DEFAULT;

  ks_user_use_files ();
  ks_log_init ("10-killswitch");
  event = ks_event_parse (argc, argv, environ, &error);
  if (event && event->action == KS_ACTION_UNKNOWN)
    return 0;
  if (event && is_awaited (event->action))
    flags |= KS_RECONCILE_QUICK;
  if (event && ks_event_is_hint (event))
    flags |= KS_RECONCILE_GLANCE;
  report = ks_reconcile (&ks_paths_default, event, flags);
  /* not earlier: a journal that hangs must not delay blocking */
  if (error)
    ks_log_error (error);
  what = describe (event);
  ks_log_report (report, &ks_paths_default, what, FALSE);
  return error || report->errors->len > 0 ? 1 : 0;
}
