/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which VPN goes inside which. Tunnels are in order of preference, and full unless named split. */
#include "ks-test.h"

#include "policy/ks-nesting.h"

typedef struct {
  KsConfig *config;
  GPtrArray *armed;
  GPtrArray *tunnels;
  KsNesting *nesting;
} Scene;

static Scene *
scene_new (void)
{
  Scene *self = g_new0 (Scene, 1);

  self->config = ks_config_new ();
  self->armed = g_ptr_array_new_with_free_func ((GDestroyNotify) ks_profile_free);
  self->tunnels = g_ptr_array_new_with_free_func ((GDestroyNotify) ks_tunnel_free);
  return self;
}

static void
scene_free (Scene *self)
{
  g_clear_pointer (&self->nesting, ks_nesting_free);
  ks_config_free (self->config);
  g_ptr_array_unref (self->armed);
  g_ptr_array_unref (self->tunnels);
  g_free (self);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Scene, scene_free)

/* An armed VPN with its servers; while it is up, @routes are those of its tunnel. */
static KsProfile *
add_vpn (Scene *self, const char *name, const char *servers)
{
  g_autoptr (GArray) addresses = ks_test_prefixes (servers);
  KsProfile *profile = ks_profile_new ();

  profile->uuid = g_strdup (name);
  profile->vpn_type = KS_VPN_PLUGIN;
  for (guint i = 0; i < addresses->len; i++) {
    g_autofree char *host = ks_prefix_format_address (&g_array_index (addresses, KsPrefix, i));

    g_ptr_array_add (profile->endpoints, ks_endpoint_new (host, 1194, IPPROTO_UDP));
  }
  g_ptr_array_add (self->armed, profile);
  return profile;
}

static KsTunnel *
add_tunnel (Scene *self, const KsProfile *profile, const char *routes)
{
  KsTunnel *tunnel = ks_tunnel_new (profile->uuid, profile->uuid);
  g_autoptr (GArray) prefixes = ks_test_prefixes (routes);

  tunnel->ifindex = 10 + self->tunnels->len;
  tunnel->has_ipv4 = tunnel->has_ipv6 = TRUE;
  for (guint i = 0; i < prefixes->len; i++)
    ks_tunnel_add_prefix (tunnel, &g_array_index (prefixes, KsPrefix, i), NULL);
  g_ptr_array_add (self->tunnels, tunnel);
  return tunnel;
}

/* A VPN that is up. */
static KsProfile *
add_up (Scene *self, const char *name, const char *servers, const char *routes)
{
  KsProfile *profile = add_vpn (self, name, servers);

  add_tunnel (self, profile, routes);
  return profile;
}

static KsProfile *
split (KsProfile *profile)
{
  profile->never_default4 = profile->never_default6 = TRUE;
  return profile;
}

static void
decide (Scene *self)
{
  g_clear_pointer (&self->nesting, ks_nesting_free);
  self->nesting = ks_nesting_new (self->config, self->armed, self->tunnels);
  for (guint i = 0; i < self->armed->len; i++) {
    const KsProfile *profile = self->armed->pdata[i];

    for (guint j = 0; j < profile->endpoints->len; j++) {
      KsPrefix address;

      assert_true (ks_endpoint_get_address (profile->endpoints->pdata[j], &address));
      ks_nesting_add (self->nesting, profile, &address, FALSE);
    }
  }
  ks_nesting_decide (self->nesting);
}

/* The name of the tunnel through which the server is reached, or "" for an uplink. */
static const char *
outer_of (const Scene *self, const char *server)
{
  KsPrefix address = ks_test_prefix (server);
  const KsTunnel *outer = ks_nesting_find (self->nesting, &address);

  return outer ? outer->interface : "";
}

static void
full_vpns_stand_side_by_side (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();

  add_up (scene, "a", "203.0.113.1", "10.8.0.0/24");
  add_up (scene, "b", "203.0.113.2 2001:db8::2", "10.9.0.0/24");
  decide (scene);
  assert_string_equal (outer_of (scene, "203.0.113.1"), "");
  assert_string_equal (outer_of (scene, "203.0.113.2"), "");
  assert_string_equal (outer_of (scene, "2001:db8::2"), "");
}

static void
split_vpn_goes_inside_a_full_one_that_is_up (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  KsProfile *company;

  add_vpn (scene, "down", "203.0.113.3");
  company = split (add_up (scene, "company", "203.0.113.2 2001:db8::2", "10.9.0.0/16"));
  decide (scene);
  assert_string_equal (outer_of (scene, "203.0.113.2"), "");
  add_up (scene, "home", "203.0.113.1", "10.8.0.0/24")->vpn_type = KS_VPN_WIREGUARD;
  decide (scene);
  assert_string_equal (outer_of (scene, "203.0.113.2"), "home");
  assert_string_equal (outer_of (scene, "2001:db8::2"), "home");
  assert_string_equal (outer_of (scene, "203.0.113.1"), "");
  assert_string_equal (ks_nesting_find_outer (scene->nesting, company)->interface, "home");
  /* also before it is up, so that it connects inside */
  g_ptr_array_remove_index (scene->tunnels, 0);
  decide (scene);
  assert_string_equal (outer_of (scene, "203.0.113.2"), "home");
}

static void
split_vpn_stays_beside_what_does_not_carry_its_family (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  KsProfile *home = add_vpn (scene, "home", "203.0.113.1");
  KsTunnel *tunnel = add_tunnel (scene, home, "10.8.0.0/24");

  split (add_up (scene, "company", "203.0.113.2 2001:db8::2", "10.9.0.0/16"));
  tunnel->has_ipv6 = FALSE;
  decide (scene);
  assert_string_equal (outer_of (scene, "203.0.113.2"), "home");
  assert_string_equal (outer_of (scene, "2001:db8::2"), "");
  home->never_default4 = TRUE;
  tunnel->has_ipv6 = TRUE;
  decide (scene);
  assert_string_equal (outer_of (scene, "203.0.113.2"), "");
  assert_string_equal (outer_of (scene, "2001:db8::2"), "home");
}

static void
split_vpn_with_a_private_server_goes_inside_by_a_route_only (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();

  split (add_up (scene, "company", "10.20.0.5", "10.9.0.0/16"));
  add_up (scene, "home", "203.0.113.1", "10.8.0.0/24");
  decide (scene);
  assert_string_equal (outer_of (scene, "10.20.0.5"), "");
  add_up (scene, "other", "203.0.113.3", "10.20.0.0/16");
  decide (scene);
  assert_string_equal (outer_of (scene, "10.20.0.5"), "other");
}

static void
vpn_never_named_full_by_a_family_it_lacks_is_split (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsProfile) profile = ks_profile_new ();
  g_autoptr (KsTunnel) tunnel = ks_tunnel_new ("a", "a");

  profile->vpn_type = KS_VPN_PLUGIN;
  profile->never_default4 = TRUE;
  assert_true (ks_nesting_is_split (profile, NULL));
  assert_true (ks_nesting_is_split (profile, tunnel));
  tunnel->has_ipv6 = TRUE;
  assert_false (ks_nesting_is_split (profile, tunnel));
  profile->vpn_type = KS_VPN_WIREGUARD;
  assert_false (ks_nesting_is_split (profile, NULL));
  profile->never_default6 = TRUE;
  assert_true (ks_nesting_is_split (profile, NULL));
}

static void
server_with_a_route_through_another_goes_inside_it (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();

  add_up (scene, "a", "203.0.113.1", "10.8.0.0/24");
  add_up (scene, "b", "203.0.113.2", "203.0.113.0/30");
  decide (scene);
  assert_string_equal (outer_of (scene, "203.0.113.1"), "b");
  assert_string_equal (outer_of (scene, "203.0.113.2"), "");
}

static void
pieces_of_a_default_route_are_no_route_to_a_server (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  KsProfile *pieces;

  add_up (scene, "a", "203.0.113.1 2001:db8::1", "10.8.0.0/24");
  add_up (scene, "b", "198.51.100.2", "0.0.0.0/1 128.0.0.0/1 200.0.0.0/7 2000::/3");
  decide (scene);
  assert_string_equal (outer_of (scene, "203.0.113.1"), "");
  assert_string_equal (outer_of (scene, "2001:db8::1"), "");
  pieces = add_up (scene, "c", "198.51.100.3", "203.0.0.0/9");
  pieces->in_pieces = TRUE;
  decide (scene);
  assert_string_equal (outer_of (scene, "203.0.113.1"), "");
}

static void
split_vpn_takes_in_no_full_one_by_announcing_a_route (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  KsProfile *home = add_up (scene, "home", "203.0.113.1", "10.8.0.0/24");

  split (add_up (scene, "company", "203.0.113.2", "203.0.113.1"));
  decide (scene);
  assert_string_equal (outer_of (scene, "203.0.113.1"), "");
  assert_string_equal (outer_of (scene, "203.0.113.2"), "home");
  /* a VPN that asks for it gets it */
  home->placement = KS_PLACEMENT_INSIDE;
  decide (scene);
  assert_string_equal (outer_of (scene, "203.0.113.1"), "company");
  assert_string_equal (outer_of (scene, "203.0.113.2"), "");
}

static void
routes_to_each_other_make_no_circle (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();

  add_up (scene, "a", "203.0.113.1", "203.0.113.2");
  add_up (scene, "b", "203.0.113.2", "203.0.113.1");
  decide (scene);
  assert_string_equal (outer_of (scene, "203.0.113.1"), "b");
  assert_string_equal (outer_of (scene, "203.0.113.2"), "");
  /* the preferred one is the inner one, whichever profile comes first */
  g_ptr_array_insert (scene->tunnels, 0, g_ptr_array_steal_index (scene->tunnels, 1));
  decide (scene);
  assert_string_equal (outer_of (scene, "203.0.113.1"), "");
  assert_string_equal (outer_of (scene, "203.0.113.2"), "a");
}

static void
all_inside_makes_a_chain_that_ends_beside (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();

  scene->config->placement = KS_PLACEMENT_INSIDE;
  add_up (scene, "a", "203.0.113.1", "10.1.0.0/16");
  add_up (scene, "b", "203.0.113.2", "10.2.0.0/16");
  add_up (scene, "c", "203.0.113.3", "10.3.0.0/16");
  decide (scene);
  assert_string_equal (outer_of (scene, "203.0.113.1"), "b");
  assert_string_equal (outer_of (scene, "203.0.113.2"), "c");
  assert_string_equal (outer_of (scene, "203.0.113.3"), "");
}

static void
profile_overrides_the_configuration (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  KsProfile *company, *home;

  home = add_up (scene, "home", "203.0.113.1", "10.8.0.0/24");
  company = split (add_up (scene, "company", "203.0.113.2", "10.9.0.0/16"));
  company->placement = KS_PLACEMENT_BESIDE;
  decide (scene);
  assert_string_equal (outer_of (scene, "203.0.113.2"), "");
  scene->config->placement = KS_PLACEMENT_INSIDE;
  home->placement = KS_PLACEMENT_AUTO;
  decide (scene);
  assert_string_equal (outer_of (scene, "203.0.113.2"), "");
  company->placement = KS_PLACEMENT_UNSET;
  decide (scene);
  assert_string_equal (outer_of (scene, "203.0.113.2"), "home");
}

static void
own_wish_comes_before_routes_of_others (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();

  /* b asks for it; a would go inside b by a route only, and is preferred */
  add_up (scene, "a", "203.0.113.1", "10.1.0.0/16");
  add_up (scene, "b", "203.0.113.2", "203.0.113.1")->placement = KS_PLACEMENT_INSIDE;
  decide (scene);
  assert_string_equal (outer_of (scene, "203.0.113.2"), "a");
  assert_string_equal (outer_of (scene, "203.0.113.1"), "");
}

static void
inside_with_no_other_one_up_is_beside (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();

  add_up (scene, "a", "203.0.113.1", "10.1.0.0/16")->placement = KS_PLACEMENT_INSIDE;
  add_vpn (scene, "b", "203.0.113.2");
  decide (scene);
  assert_string_equal (outer_of (scene, "203.0.113.1"), "");
}

static void
server_of_the_outer_one_itself_is_always_beside (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  KsProfile *twin;

  add_up (scene, "a", "203.0.113.1", "203.0.113.0/24");
  twin = split (add_up (scene, "twin", "203.0.113.1 203.0.113.9", "10.1.0.0/16"));
  twin->placement = KS_PLACEMENT_INSIDE;
  decide (scene);
  assert_string_equal (outer_of (scene, "203.0.113.1"), "");
  assert_string_equal (outer_of (scene, "203.0.113.9"), "a");
}

static void
server_that_anyone_wants_beside_is_beside (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();

  add_up (scene, "home", "203.0.113.1", "10.8.0.0/24");
  split (add_up (scene, "company", "203.0.113.2", "10.9.0.0/16"));
  add_vpn (scene, "other", "203.0.113.2");
  decide (scene);
  assert_string_equal (outer_of (scene, "203.0.113.2"), "");
}

static void
server_that_no_tunnel_leads_to_is_beside (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  KsPrefix address = ks_test_prefix ("203.0.113.2");

  add_up (scene, "home", "203.0.113.1", "10.8.0.0/24");
  split (add_up (scene, "company", "", "10.9.0.0/16"))->placement = KS_PLACEMENT_INSIDE;
  scene->nesting = ks_nesting_new (scene->config, scene->armed, scene->tunnels);
  ks_nesting_add (scene->nesting, scene->armed->pdata[1], &address, TRUE);
  ks_nesting_decide (scene->nesting);
  assert_null (ks_nesting_find (scene->nesting, &address));
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (full_vpns_stand_side_by_side),
    cmocka_unit_test (split_vpn_goes_inside_a_full_one_that_is_up),
    cmocka_unit_test (split_vpn_stays_beside_what_does_not_carry_its_family),
    cmocka_unit_test (split_vpn_with_a_private_server_goes_inside_by_a_route_only),
    cmocka_unit_test (vpn_never_named_full_by_a_family_it_lacks_is_split),
    cmocka_unit_test (server_with_a_route_through_another_goes_inside_it),
    cmocka_unit_test (pieces_of_a_default_route_are_no_route_to_a_server),
    cmocka_unit_test (split_vpn_takes_in_no_full_one_by_announcing_a_route),
    cmocka_unit_test (routes_to_each_other_make_no_circle),
    cmocka_unit_test (all_inside_makes_a_chain_that_ends_beside),
    cmocka_unit_test (profile_overrides_the_configuration),
    cmocka_unit_test (own_wish_comes_before_routes_of_others),
    cmocka_unit_test (inside_with_no_other_one_up_is_beside),
    cmocka_unit_test (server_of_the_outer_one_itself_is_always_beside),
    cmocka_unit_test (server_that_anyone_wants_beside_is_beside),
    cmocka_unit_test (server_that_no_tunnel_leads_to_is_beside),
  };

  return cmocka_run_group_tests_name ("ks-nesting", tests, NULL, NULL);
}
