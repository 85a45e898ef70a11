/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The command: for people, and for the systemd units.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/ks-user.h"
#include "input/ks-config-read.h"
#include "report/ks-log.h"
#include "report/ks-status.h"
#include "run/ks-follow.h"
#include "run/ks-heal.h"
#include "run/ks-reconcile.h"
#include "run/ks-release.h"

#define SELFTEST_NAME "nm-killswitch-selftest"

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
static int run_enable (int argc, char **argv);
static int run_disable (int argc, char **argv);
static int run_release (int argc, char **argv);
static int run_resume (int argc, char **argv);
static int run_selftest (int argc, char **argv);
static int run_help (int argc, char **argv);

static const Command commands[] = {
  { "status", "[--json] [--watch] | --quiet", "show what is blocked, by what, and what to do", run_status },
  { "check", "", "ask the kernel where packets would go; fails if any would get out", run_check },
  { "sync", "[--boot|--follow]", "bring rules and routes to what profiles and configuration ask for", run_sync },
  { "heal", "", "put back what somebody else changed: for the systemd unit", run_heal },
  { "enable", "NAME", "arm the section [vpn NAME] (Mode=session) now", run_enable },
  { "disable", "NAME", "disarm the section [vpn NAME] (Mode=session) until a new device of it appears", run_disable },
  { "release", "", "take everything away now, until `resume` or a reboot", run_release },
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

/* Whether the only argument is one of @options (NULL at the end); its index in *@found, -1 for none. */
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

/* What `status` is asked for. */
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

/* The status now, in @text unless quiet (transfer full); returns the exit status. */
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

/* Until somebody ends it. On a terminal the screen is drawn anew; otherwise what is new is added. */
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

/* To people on standard output; nothing to say is said too. */
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
    return usage_error ("sync takes --boot or --follow and nothing else");
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
  int count = MIN (sd_listen_fds (0), (int) G_N_ELEMENTS (sockets));
  int option;

  if (!parse_option (argc, argv, NULL, &option))
    return usage_error ("heal takes no argument, got '%s'", argv[1]);
  count = MAX (count, 0); /* an error: systemd passed none that could be used */
  for (int i = 0; i < count; i++)
    sockets[i] = SD_LISTEN_FDS_START + i;
  return ks_heal (&ks_paths_default, sockets, (guint) count, log_round, NULL) ? EXIT_OK : EXIT_ERROR;
}

/* The section of the configuration that the person names; NULL, and why, if its session cannot be switched. */
static const KsSection *
find_session (const KsConfig *config, const char *command, const char *name)
{
  gboolean enables = strcmp (command, "enable") == 0;
  const KsSection *section = ks_section_find (config->sections, name);

  if (!section)
    fprintf (
      stderr,
      "nm-killswitch: there is no section [vpn %s] in %s, and `%s` is for these sections only. To %s a NetworkManager "
      "profile, run: nmcli connection modify %s connection.zone %s\n",
      name, ks_paths_default.config, command, enables ? "arm" : "disarm", name, enables ? "killswitch" : "\"\"");
  else if (!section->is_session)
    fprintf (
      stderr,
      "nm-killswitch: [vpn %s] is in mode strict: it is armed as long as the section is in %s. Remove the section, or "
      "set Mode=session in it. To turn everything off, run: nm-killswitch release\n",
      name, ks_paths_default.config);
  return section && section->is_session ? section : NULL;
}

static int
switch_section (int argc, char **argv, KsAction action)
{
  g_autoptr (GPtrArray) errors = g_ptr_array_new_with_free_func ((GDestroyNotify) g_error_free);
  g_autoptr (KsConfig) config = NULL;
  g_autoptr (KsEvent) event = NULL;
  g_autoptr (KsReport) report = NULL;

  if (argc != 2)
    return usage_error ("%s takes the NAME of a section [vpn NAME]", argv[0]);
  config = ks_config_read (ks_paths_default.config, errors);
  if (!find_session (config, argv[0], argv[1]))
    return EXIT_ERROR;
  event = ks_event_new_of_section (action, argv[1]);
  report = ks_reconcile (&ks_paths_default, event, KS_RECONCILE_DEFAULT);
  return finish (report, argv[0]);
}

static int
run_enable (int argc, char **argv)
{
  return switch_section (argc, argv, KS_ACTION_ENABLE);
}

static int
run_disable (int argc, char **argv)
{
  return switch_section (argc, argv, KS_ACTION_DISABLE);
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

/* The self-test is a program of its own: what runs for the units and for NetworkManager contains nothing of it. */
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
    g_autofree char *words = g_strdup_printf ("%s %s", commands[i].name, commands[i].arguments);

    printf ("  %-24s %s\n", words, commands[i].help);
  }
  printf ("\nTo arm a VPN profile:   nmcli connection modify PROFILE connection.zone killswitch\n"
          "To turn that off:       nmcli connection modify PROFILE connection.zone \"\"\n"
          "See nm-killswitch(8) and nm-killswitch.conf(5).\n");
  return EXIT_OK;
}

int
main (int argc, char **argv)
{
  umask (022); /* what everybody may read stays readable, whatever sudo passes on */
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
