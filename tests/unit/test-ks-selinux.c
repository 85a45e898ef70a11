/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ks-test-nm.h"
#include "ks-test.h"

#include <sys/xattr.h>

#include "input/ks-selinux.h"
#include "run/ks-situation.h"

/* The context that files have here; NULL: none, as on a host without SELinux. It replaces the C library's function. */
static const char *faked_context;

ssize_t
getxattr (const char *path G_GNUC_UNUSED, const char *name, void *value, size_t size)
{
  size_t length = faked_context ? strlen (faked_context) + 1 : 0; /* the kernel counts the final zero */

  if (!faked_context || strcmp (name, "security.selinux") != 0 || length > size)
    return -1;
  memcpy (value, faked_context, length);
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
  } cases[] = {
    { "1", "system_u:object_r:lib_t:s0",
      "run 'semodule -i /some/killswitch.cil' and 'restorecon /some/10-killswitch'." },
    /* the module would take away the label that another policy has for it */
    { "1", "system_u:object_r:unlabeled_t:s0", "run 'restorecon /some/10-killswitch'." },
    { "1", "system_u:object_r:initrc_exec_t:s0", NULL },
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
    faked_context = cases[i].context;
    situation = ks_situation_read (&host->paths, NULL, KS_READ_NO_NETWORK);
    faked_context = NULL;
    assert_int_equal (situation->warnings->len, cases[i].commands ? 1 : 0);
    assert_int_equal (situation->errors->len, 0);
    if (cases[i].commands) {
      g_autofree char *what = g_strdup_printf ("running /some/10-killswitch, which has the label %s", cases[i].context);
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
