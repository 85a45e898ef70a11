/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ks-test-nm.h"
#include "ks-test.h"

#include <sys/xattr.h>

#include "input/ks-selinux.h"
#include "run/ks-situation.h"

#define DISPATCHER "/some/nm-dispatcher"
/* The contexts that files have here; NULL: none, as on a host without SELinux. The C library's function is replaced. */
static const char *faked_dispatcher, *faked_context;

ssize_t
getxattr (const char *path, const char *name, void *value, size_t size)
{
  const char *context = g_str_equal (path, DISPATCHER) ? faked_dispatcher : faked_context;
  size_t length = context ? strlen (context) + 1 : 0; /* the kernel counts the final zero */

  if (!context || strcmp (name, "security.selinux") != 0 || length > size)
    return -1;
  memcpy (value, context, length);
  return (ssize_t) length;
}

static void
selinux_recognises_what_is_not_a_program (void **state G_GNUC_UNUSED)
{
  assert_true (ks_selinux_is_no_program ("system_u:object_r:lib_t:s0"));
  assert_true (ks_selinux_is_no_program ("system_u:object_r:unlabeled_t"));
  assert_false (ks_selinux_is_no_program ("system_u:object_r:initrc_exec_t:s0"));
  assert_false (ks_selinux_is_no_program ("system_u:object_r:NetworkManager_dispatcher_script_t:s0"));
  assert_false (ks_selinux_is_no_program ("lib_t"));
  assert_false (ks_selinux_is_no_program (""));
}

static void
situation_warns_of_a_dispatcher_program_that_selinux_does_not_let_run (void **state G_GNUC_UNUSED)
{
  static const struct {
    const char *enforce, *context;
    const char *commands; /* of the warning, if there is one */
    const char *dispatcher; /* the context of NetworkManager's dispatcher */
  } cases[] = {
    { "1", "system_u:object_r:lib_t:s0",
      "run 'semodule -i /some/killswitch.cil' and 'restorecon /some/10-killswitch'." },
    /* the module would take away the label that another policy has for it */
    { "1", "system_u:object_r:unlabeled_t:s0", "run 'restorecon /some/10-killswitch'." },
    { "1", "system_u:object_r:initrc_exec_t:s0", NULL, "system_u:object_r:NetworkManager_exec_t:s0" },
    /* Debian 13's policy and the reference policy; a dispatcher that runs as an init script, or cannot be read */
    { "1", "system_u:object_r:NetworkManager_initrc_exec_t:s0",
      "run 'semodule -i /some/killswitch.cil' and 'restorecon /some/10-killswitch'.",
      "system_u:object_r:NetworkManager_exec_t:s0" },
    { "1", "system_u:object_r:NetworkManager_initrc_exec_t:s0", NULL,
      "system_u:object_r:NetworkManager_initrc_exec_t:s0" },
    { "1", "system_u:object_r:NetworkManager_initrc_exec_t:s0", NULL, NULL },
    { "0", "system_u:object_r:NetworkManager_initrc_exec_t:s0", NULL, "system_u:object_r:NetworkManager_exec_t:s0" },
    { "1", NULL, NULL },
    { "0", "system_u:object_r:lib_t:s0", NULL },
    { NULL, "system_u:object_r:lib_t:s0", NULL },
  };

  ks_test_no_bus ();
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (KsTestHost) host = ks_test_host_new ();
    g_autofree char *enforce = g_build_filename (host->paths.runtime, "enforce", NULL);
    g_autoptr (KsSituation) situation = NULL;

    assert_true (ks_paths_make_runtime (&host->paths, NULL));
    if (cases[i].enforce)
      assert_true (g_file_set_contents (enforce, cases[i].enforce, -1, NULL));
    host->paths.selinux_enforce = enforce;
    host->paths.dispatcher = "/some/10-killswitch";
    host->paths.selinux_module = "/some/killswitch.cil";
    host->paths.nm_dispatcher = DISPATCHER;
    faked_context = cases[i].context;
    faked_dispatcher = cases[i].dispatcher;
    situation = ks_situation_read (&host->paths, NULL, KS_READ_NO_NETWORK);
    faked_context = faked_dispatcher = NULL;
    assert_int_equal (situation->warnings->len, cases[i].commands ? 1 : 0);
    assert_int_equal (situation->errors->len, 0);
    if (cases[i].commands) {
      g_autofree char *what = g_strdup_printf ("/some/10-killswitch, which has the label %s", cases[i].context);
      const char *text = situation->warnings->pdata[0];

      assert_non_null (strstr (text, what));
      assert_non_null (strstr (text, cases[i].commands));
    }
  }
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (selinux_recognises_what_is_not_a_program),
    cmocka_unit_test (situation_warns_of_a_dispatcher_program_that_selinux_does_not_let_run),
  };

  return cmocka_run_group_tests_name ("ks-selinux", tests, NULL, NULL);
}
