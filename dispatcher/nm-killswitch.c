/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The command: for people, and for the systemd units.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/ks-error.h"
#include "base/ks-listen-fds.h"
#include "base/ks-user.h"
#include "report/ks-list-format.h"
#include "report/ks-log.h"
#include "report/ks-status.h"
#include "run/ks-follow.h"
#include "run/ks-heal.h"
#include "run/ks-reconcile.h"
#include "run/ks-release.h"
#include "run/ks-switch.h"

#define SELFTEST_NAME "nm-killswitch-selftest"
/* A run waits up to 15 seconds for another one. */
#define SWITCH_TIMEOUT_MS 20000

enum { EXIT_OK = 0, EXIT_ERROR = 1, EXIT_USAGE = 2 };

typedef struct {
  const char *name;
  const char *arguments;
  const char *help;
  int (*run) (int argc, char **argv);
} Command;

static int run_status (int argc, char **argv);
static int run_check (int argc, char **argv);
static int run_sync (int argc, char **argv);
static int run_heal (int argc, char **argv);
static int run_list (int argc, char **argv);
static int run_switch (int argc, char **argv);
static int run_release (int argc, char **argv);
static int run_resume (int argc, char **argv);
static int run_selftest (int argc, char **argv);
static int run_help (int argc, char **argv);

static const Command commands[] = {
  { "list", "[--names]", "list the VPNs: armed or not and why, up or down, and likely mistakes", run_list },
  { "enable", "PROFILE [--session] [--force]", "arm a VPN, from now on or, with --session, while it is connected",
    run_switch },
  { "disable", "PROFILE", "disarm a VPN", run_switch },
  { "status", "[--json] [--watch] | --quiet", "show what is blocked, by what, and what to do", run_status },
  { "check", "", "ask the kernel where packets would go; fails if any would get out", run_check },
  { "sync", "[--boot|--follow]", "bring rules and routes in line with profiles and settings", run_sync },
  { "heal", "", "undo changes by other programs; for the systemd unit", run_heal },
  { "release", "", "remove everything now, until `resume` or a reboot", run_release },
  { "resume", "", "undo `release`", run_resume },
  { "selftest", "[--verbose]", "try the attacks on this kernel, in network namespaces of its own", run_selftest },
  { "help", "", "show this", run_help },
};

static int G_GNUC_PRINTF (1, 2) usage_error (const char *format, ...)
{
  va_list arguments;

  fprintf (stderr, "nm-killswitch: ");
  va_start (arguments, format);
  vfprintf (stderr, format, arguments);
  va_end (arguments);
  fprintf (stderr, "; `nm-killswitch help` lists the commands\n");
  return EXIT_USAGE;
}

/* Parses one of @options (ended by NULL) as the only argument, if any; its index in *@found, -1 for none. */
static gboolean
parse_option (int argc, char **argv, const char *const *options, int *found)
{
  *found = -1;
  if (argc == 1)
    return TRUE;
  if (argc > 2)
    return FALSE;
  for (int i = 0; options && options[i]; i++)
    if (strcmp (argv[1], options[i]) == 0) {
      *found = i;
      return TRUE;
    }
  return FALSE;
}

static void
print_errors (const KsReport *report)
{
  for (guint i = 0; i < report->errors->len; i++)
    fprintf (stderr, "nm-killswitch: %s\n", ((const GError *) report->errors->pdata[i])->message);
}

/* The options of `status`. */
typedef struct {
  gboolean json, watch, quiet;
} StatusOptions;

static gboolean
parse_status_options (int argc, char **argv, StatusOptions *options)
{
  for (int i = 1; i < argc; i++) {
    if (strcmp (argv[i], "--json") == 0)
      options->json = TRUE;
    else if (strcmp (argv[i], "--watch") == 0)
      options->watch = TRUE;
    else if (strcmp (argv[i], "--quiet") == 0)
      options->quiet = TRUE;
    else
      return FALSE;
  }
  return !(options->quiet && (options->json || options->watch));
}

/* For `status --quiet`; nm-killswitch(8) documents them. */
static int
exit_status_of (const char *word)
{
  static const struct {
    const char *word;
    int status;
  } states[] = { { "protected", EXIT_OK }, { "blocking", 3 }, { "off", 4 }, { "released", 4 } };

  for (guint i = 0; i < G_N_ELEMENTS (states); i++)
    if (strcmp (word, states[i].word) == 0)
      return states[i].status;
  return 5; /* held, incomplete, unknown */
}

/* The present status, in @text unless quiet (transfer full); returns the exit status. */
static int
take_status (const StatusOptions *options, char **text)
{
  g_autoptr (KsReport) report = NULL;
  g_autoptr (KsSnapshot) snapshot = NULL;
  g_autoptr (KsPublic) public = NULL;
  g_autoptr (KsSummary) former = NULL;
  KsStyle style = ks_style_of_stdout ();
  g_auto (KsStatus) status = { 0 };
  gboolean has_failed;

  if (geteuid () == 0) {
    report = ks_reconcile_preview (&ks_paths_default, &snapshot);
    former = ks_summary_read (&ks_paths_default, NULL);
    ks_status_init (&status, report, snapshot);
    status.former = former;
    has_failed = report->errors->len > 0;
  } else {
    public = ks_public_read (&ks_paths_default);
    ks_status_init_public (&status, public);
    has_failed = strcmp (public->summary->state, "unknown") == 0;
  }
  status.now = g_get_real_time () / G_USEC_PER_SEC;
  status.boottime = ks_summary_now ();
  if (!options->quiet)
    *text = options->json ? ks_status_format_json (&status) : ks_status_format (&status, &style);
  if (report && !options->watch)
    print_errors (report);
  if (options->quiet)
    return exit_status_of (ks_status_word (&status));
  return has_failed ? EXIT_ERROR : EXIT_OK;
}

/* Runs until it is interrupted. On a terminal the screen is redrawn; otherwise new output is appended. */
static void
watch_status (const StatusOptions *options)
{
  g_autofree char *last = NULL;

  for (;;) {
    char *text = NULL;

    take_status (options, &text);
    if (g_strcmp0 (text, last) != 0) {
      fputs (isatty (STDOUT_FILENO) && !options->json ? "\033[H\033[2J" : last && !options->json ? "\n" : "", stdout);
      fputs (text, stdout);
      fflush (stdout);
    }
    g_free (last);
    last = text;
    g_usleep (G_USEC_PER_SEC);
  }
}

static int
run_status (int argc, char **argv)
{
  StatusOptions options = { 0 };
  g_autofree char *text = NULL;
  int status;

  if (!parse_status_options (argc, argv, &options))
    return usage_error ("status takes --json, --watch or --quiet");
  if (options.watch)
    watch_status (&options);
  status = take_status (&options, &text);
  if (text)
    fputs (text, stdout);
  return status;
}

static int
run_check (int argc, char **argv)
{
  g_autoptr (KsReport) report = NULL;
  g_autoptr (KsSnapshot) snapshot = NULL;
  g_auto (KsStatus) status = { 0 };
  g_autofree char *table = NULL;
  g_autofree char *verdict = NULL;
  int option;

  if (!parse_option (argc, argv, NULL, &option))
    return usage_error ("check takes no argument, got '%s'", argv[1]);
  report = ks_reconcile_preview (&ks_paths_default, &snapshot);
  ks_status_init (&status, report, snapshot);
  if (!snapshot || !report->policy || (report->policy->armed && !ks_reconcile_prove (report, snapshot))) {
    print_errors (report);
    return EXIT_ERROR;
  }
  print_errors (report);
  if (!report->policy->armed) {
    printf ("The kill switch is %s: nothing to check%s\n", ks_status_word (&status),
            report->situation->is_unclear ? "" : ", everything may get out");
    return EXIT_ERROR;
  }
  table = ks_proof_format (report->proof);
  fputs (table, stdout);
  verdict = ks_status_format_check (&status);
  fputs (verdict, stdout);
  return ks_status_is_tight (&status) && report->errors->len == 0 ? EXIT_OK : EXIT_ERROR;
}

/* Reports to a user on standard output, also if nothing was changed. */
static int
finish (const KsReport *report, const char *what)
{
  gboolean is_armed = report->policy && report->policy->armed;

  ks_log_report (report, &ks_paths_default, what, TRUE);
  if (report->errors->len > 0)
    return EXIT_ERROR;
  if (report->situation && report->situation->is_released)
    printf ("released: nothing is blocked; ");
  else
    printf ("%s; ", is_armed ? "armed" : "not armed");
  if (report->changes == 0)
    printf ("nothing to change\n");
  else
    printf ("%u change%s\n", report->changes, report->changes == 1 ? "" : "s");
  return EXIT_OK;
}

static int
run_sync (int argc, char **argv)
{
  static const char *const options[] = { "--boot", "--follow", NULL };
  g_autoptr (KsReport) report = NULL;
  int option;

  if (!parse_option (argc, argv, options, &option))
    return usage_error ("sync takes only --boot or --follow");
  if (option == 1)
    report = ks_follow (&ks_paths_default);
  else
    report = ks_reconcile (&ks_paths_default, NULL, option == 0 ? KS_RECONCILE_BOOT : KS_RECONCILE_ANEW);
  ks_heal_nudge (&ks_paths_default, report);
  return finish (report, option == 0 ? "boot" : "sync");
}

static void
log_round (const KsReport *report, gboolean insists, gpointer user_data G_GNUC_UNUSED)
{
  ks_log_healed (report, insists);
}

static int
run_heal (int argc, char **argv)
{
  int sockets[8];
  guint count;
  int option;

  if (!parse_option (argc, argv, NULL, &option))
    return usage_error ("heal takes no argument, got '%s'", argv[1]);
  count = ks_listen_fds (G_N_ELEMENTS (sockets));
  for (guint i = 0; i < count; i++)
    sockets[i] = KS_LISTEN_FDS_START + (int) i;
  return ks_heal (&ks_paths_default, sockets, count, log_round, NULL) ? EXIT_OK : EXIT_ERROR;
}

/* --- list, enable, disable --- */

static int
run_list (int argc, char **argv)
{
  static const char *const options[] = { "--names", NULL };
  g_autoptr (KsChoice) choice = NULL;
  g_autoptr (KsNetwork) network = NULL;
  g_autoptr (KsReport) report = NULL;
  g_autoptr (KsSnapshot) snapshot = NULL;
  g_autoptr (KsPublic) public = NULL;
  g_autoptr (KsSummary) summary = NULL;
  g_autoptr (KsList) list = NULL;
  g_autofree char *text = NULL;
  g_auto (KsStatus) status = { 0 };
  KsStyle style = ks_style_of_stdout ();
  int option;

  if (!parse_option (argc, argv, options, &option))
    return usage_error ("list takes only --names");
  choice = ks_choice_read (&ks_paths_default);
  network = ks_choice_network (choice);
  if (geteuid () == 0) {
    report = ks_reconcile_preview (&ks_paths_default, &snapshot);
    ks_status_init (&status, report, snapshot);
  } else {
    public = ks_public_read (&ks_paths_default);
    ks_status_init_public (&status, public);
  }
  summary = ks_status_summarise (&status);
  list = ks_list_new (choice, network, summary, report ? report->situation->warnings : NULL, &ks_paths_default);
  text = option == 0 ? ks_list_format_names (list) : ks_list_format (list, &style);
  fputs (text, stdout);
  if (report && option != 0)
    print_errors (report);
  return report && report->errors->len > 0 ? EXIT_ERROR : EXIT_OK;
}

typedef struct {
  const char *command; /* "enable" or "disable" */
  const char *name;
  KsSwitch action;
  gboolean force;
} SwitchOptions;

static gboolean
parse_switch_options (int argc, char **argv, SwitchOptions *options)
{
  gboolean enables = strcmp (argv[0], "enable") == 0, has_ended = FALSE;

  *options = (SwitchOptions){ .command = argv[0], .action = enables ? KS_SWITCH_STRICT : KS_SWITCH_OFF };
  for (int i = 1; i < argc; i++) {
    if (!has_ended && strcmp (argv[i], "--") == 0)
      has_ended = TRUE;
    else if (!has_ended && enables && strcmp (argv[i], "--session") == 0)
      options->action = KS_SWITCH_SESSION;
    else if (!has_ended && enables && strcmp (argv[i], "--force") == 0)
      options->force = TRUE;
    else if (options->name || (!has_ended && g_str_has_prefix (argv[i], "--")))
      return FALSE;
    else
      options->name = argv[i];
  }
  return options->name != NULL;
}

/* A connection that vanishes with its device cannot keep a setting. */
static gboolean
is_external (const KsChoice *choice, const KsProfile *profile, const char *name)
{
  const KsNmConnection *connection = ks_choice_connection (choice, profile);

  if (!connection || !connection->is_external)
    return FALSE;
  fprintf (
    stderr,
    "nm-killswitch: '%s' has no profile: another program has set up its device, or the device belongs to a VPN with "
    "a profile of its own (see `nm-killswitch list`). To arm a VPN that NetworkManager does not start, add a "
    "section [vpn NAME] to %s\n",
    name, ks_paths_default.config);
  return TRUE;
}

/* The profile that the user named; NULL, with a message, if it does not exist, is ambiguous, or cannot be armed. */
static const KsProfile *
choose (const KsChoice *choice, const SwitchOptions *options)
{
  g_autoptr (GPtrArray) matches = ks_choice_find (choice, options->name);
  g_autofree char *name = ks_error_printable (options->name), *type = NULL;
  const KsProfile *profile = matches->len == 1 ? matches->pdata[0] : NULL;

  if (matches->len > 1) {
    g_autofree char *list = ks_choice_format (matches);

    fprintf (stderr, "nm-killswitch: '%s' is the name of several VPNs; use what is in the first column instead:\n%s",
             name, list);
    return NULL;
  }
  if (!profile) {
    if (choice->silence)
      fprintf (stderr, "nm-killswitch: NetworkManager does not answer, so profile '%s' cannot be changed: %s%s\n", name,
               choice->silence->message,
               options->action == KS_SWITCH_OFF ? "; to lift the block all the same, run: nm-killswitch release" : "");
    else
      fprintf (stderr, "nm-killswitch: there is no profile or section '%s'; `nm-killswitch list` shows them\n", name);
    return NULL;
  }
  if (is_external (choice, profile, name))
    return NULL;
  if (profile->vpn_type != KS_VPN_NONE)
    return profile;
  type = ks_error_printable (profile->type);
  fprintf (stderr, "nm-killswitch: '%s' cannot be armed: it is a connection of type %s, not a VPN\n", name, type);
  return NULL;
}

static gboolean
is_refused (const KsChoice *choice, const KsProfile *profile, const SwitchOptions *options)
{
  g_autofree char *peer = NULL;

  if (options->action == KS_SWITCH_OFF || options->force || !ks_switch_cuts_off (choice, profile, &peer))
    return FALSE;
  fprintf (stderr,
           "nm-killswitch: this would cut off the SSH connection you are using, from %s. To keep it, add "
           "ManagementFrom=%s to the [main] section of %s. To enable the kill switch all the same, use --force\n",
           peer, peer, ks_paths_default.config);
  return TRUE;
}

static int
say_done (const KsSummary *summary, const KsProfile *profile, KsSwitch action)
{
  g_autofree char *line = ks_switch_format (summary, profile, action);

  printf ("%s\n", line);
  return EXIT_OK;
}

/* Puts the setting in force by a run as root, and shows the result; @event may be NULL. */
static int
finish_switch (const SwitchOptions *options, const KsProfile *profile, gboolean is_up, const KsEvent *event)
{
  g_autoptr (KsReport) report = ks_reconcile (&ks_paths_default, event, KS_RECONCILE_DEFAULT);

  ks_log_report (report, &ks_paths_default, options->command, TRUE);
  if (!report->summary || !ks_switch_is_done (report->summary, profile, options->action, is_up)) {
    if (report->errors->len == 0)
      fprintf (stderr, "nm-killswitch: the setting is saved, but not in force: see `nm-killswitch status`\n");
    return EXIT_ERROR;
  }
  say_done (report->summary, profile, options->action);
  return report->errors->len > 0 ? EXIT_ERROR : EXIT_OK;
}

static int
switch_section (const KsChoice *choice, const KsProfile *profile, const SwitchOptions *options)
{
  gboolean enables = options->action != KS_SWITCH_OFF;
  g_autoptr (KsEvent) event = NULL;
  g_autofree char *name = ks_error_printable (profile->id);
  SwitchOptions session = *options;

  if (profile->mode != KS_MODE_SESSION) {
    fprintf (
      stderr,
      "nm-killswitch: [vpn %s] is in mode strict: it is armed as long as the section is in %s. Remove the section, or "
      "set Mode=session in it. To turn everything off, run: nm-killswitch release\n",
      name, ks_paths_default.config);
    return EXIT_ERROR;
  }
  if (is_refused (choice, profile, options))
    return EXIT_ERROR;
  if (enables)
    session.action = KS_SWITCH_SESSION;
  event = ks_event_new_of_section (enables ? KS_ACTION_ENABLE : KS_ACTION_DISABLE, profile->id);
  return finish_switch (&session, profile, enables, event);
}

static int
switch_connection (const KsChoice *choice, const KsProfile *profile, const SwitchOptions *options)
{
  const KsNmConnection *connection = ks_choice_connection (choice, profile);
  const KsSetting now = { .zone = connection->zone, .mode = connection->mode };
  KsSetting setting = ks_switch_setting (choice, profile, options->action, &ks_paths_default);
  g_autoptr (KsNetwork) network = ks_choice_network (choice);
  g_autoptr (KsSummary) summary = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *name = ks_error_printable (profile->id);
  gboolean is_up = network && ks_network_active_state (network, ks_profile_key (profile)) == KS_ACTIVE_ACTIVATED;

  if (!ks_setting_equal (&now, &setting)) {
    if (is_refused (choice, profile, options))
      return EXIT_ERROR;
    if (!ks_nm_connection_set (choice->bus, connection, &setting, &error)) {
      gboolean is_denied = g_error_matches (error, KS_ERROR, KS_ERROR_PERMISSION);

      fprintf (stderr, "nm-killswitch: NetworkManager %s '%s': %s%s\n",
               is_denied ? "does not allow you to change" : "cannot change", name, error->message,
               is_denied && geteuid () != 0 ? "; run the command with sudo" : "");
      return EXIT_ERROR;
    }
  }
  if (geteuid () == 0)
    return finish_switch (options, profile, is_up, NULL);
  summary = ks_switch_wait (&ks_paths_default, profile, options->action, is_up, SWITCH_TIMEOUT_MS);
  if (summary)
    return say_done (summary, profile, options->action);
  fprintf (stderr,
           "nm-killswitch: the setting is saved, but not in force after %d seconds: see `nm-killswitch status`\n",
           SWITCH_TIMEOUT_MS / 1000);
  return EXIT_ERROR;
}

static int
run_switch (int argc, char **argv)
{
  g_autoptr (KsChoice) choice = NULL;
  const KsProfile *profile;
  SwitchOptions options;

  if (!parse_switch_options (argc, argv, &options))
    return usage_error ("usage: nm-killswitch %s PROFILE%s", argv[0],
                        strcmp (argv[0], "enable") == 0 ? " [--session] [--force]" : "");
  choice = ks_choice_read (&ks_paths_default);
  profile = choose (choice, &options);
  if (!profile)
    return EXIT_ERROR;
  return profile->vpn_type == KS_VPN_SECTION ? switch_section (choice, profile, &options)
                                             : switch_connection (choice, profile, &options);
}

static int
run_release (int argc, char **argv)
{
  g_autoptr (KsReport) report = NULL;
  int option;

  if (!parse_option (argc, argv, NULL, &option))
    return usage_error ("release takes no argument, got '%s'", argv[1]);
  report = ks_release (&ks_paths_default);
  return finish (report, "release");
}

static int
run_resume (int argc, char **argv)
{
  g_autoptr (KsReport) report = NULL;
  int option;

  if (!parse_option (argc, argv, NULL, &option))
    return usage_error ("resume takes no argument, got '%s'", argv[1]);
  report = ks_resume (&ks_paths_default);
  return finish (report, "resume");
}

/* The self-test is a program of its own, so that the program that units and NetworkManager run contains none of it. */
static int
run_selftest (int argc G_GNUC_UNUSED, char **argv)
{
  g_autofree char *self = g_file_read_link ("/proc/self/exe", NULL);
  g_autofree char *directory = g_path_get_dirname (self ? self : "");
  g_autofree char *beside = g_build_filename (directory, SELFTEST_NAME, NULL);

  execv (beside, argv); /* in the build directory */
  execv (KS_LIBEXECDIR "/" SELFTEST_NAME, argv);
  fprintf (stderr, "nm-killswitch: cannot run %s/%s: %s\n", KS_LIBEXECDIR, SELFTEST_NAME, g_strerror (errno));
  return EXIT_ERROR;
}

static int
run_help (int argc G_GNUC_UNUSED, char **argv G_GNUC_UNUSED)
{
  printf ("Usage: nm-killswitch COMMAND\n\n");
  for (guint i = 0; i < G_N_ELEMENTS (commands); i++) {
    const char *blank = *commands[i].arguments ? " " : "";

    printf ("  %s%s%s\n      %s\n", commands[i].name, blank, commands[i].arguments, commands[i].help);
  }
  printf ("\nPROFILE is a name, a UUID or a file of NetworkManager's, or the NAME of a [vpn NAME] section.\n"
          "See nm-killswitch(8) and nm-killswitch.conf(5).\n");
  return EXIT_OK;
}

int
main (int argc, char **argv)
{
  umask (022); /* world-readable files stay readable, whatever umask sudo passes on */
  ks_user_use_files ();
  ks_log_init ("nm-killswitch");
  if (argc < 2)
    return usage_error ("a command is missing");
  if (strcmp (argv[1], "--version") == 0) {
    printf ("nm-killswitch %s\n", KS_VERSION);
    return EXIT_OK;
  }
  if (strcmp (argv[1], "--help") == 0 || strcmp (argv[1], "-h") == 0)
    return run_help (argc, argv);
  for (guint i = 0; i < G_N_ELEMENTS (commands); i++)
    if (strcmp (argv[1], commands[i].name) == 0)
      return commands[i].run (argc - 1, argv + 1);
  return usage_error ("unknown command '%s'", argv[1]);
}
