//! Identity, limits, environment, and the plan as bytes.

use std::ffi::OsString;
use std::time::Duration;

use super::fixtures::*;
use crate::capability::CapabilitySet;
use crate::host::{Facts, HostLimit, Subordinate, SubordinateError, SubordinateRange};
use crate::plan::task::elf;
use crate::plan::{
    Call, Cgroup, HostIdentity, Identity, Mapped, Namespaces, Note, Plan, PlanError, Ranges, RangesFrom,
    Rlimit, TaskRequest, Throttle, Via, Workload, resolve, resolve_with_notes,
};
use crate::profile::{self, IdMap, IdRange, MountKind, Namespace, Profile, User, Workdir};

fn as_user(profile: &Profile, facts: &Facts) -> Result<Plan, PlanError> {
    resolve(profile, facts, &files(), &Call::program(["sh"]))
}

/// Root with the capabilities of Docker's default list.
fn without_admin() -> Facts {
    Facts { capabilities: CapabilitySet::from_bits(0xa804_25fb), ..root_facts() }
}

/// An ordinary user who is called root in a user namespace of one id.
fn called_root() -> Facts {
    Facts { mapped_ids: Some(1), spare_ids: None, root_outside: false, ..root_facts() }
}

fn range(inside: u32, outside: u32, count: u32) -> IdRange {
    IdRange { inside, outside, count }
}

fn mapped(users: IdMap, groups: IdMap, user: Option<(u32, u32)>) -> Profile {
    let mut profile = Profile { uid_mappings: users, gid_mappings: groups, ..profile() };
    profile.process.user = user.map(|(uid, gid)| User { uid, gid });
    profile
}

fn named(users: &[IdRange], groups: &[IdRange], user: Option<(u32, u32)>) -> Profile {
    mapped(IdMap::Ranges(users.to_vec()), IdMap::Ranges(groups.to_vec()), user)
}

/// An ordinary user with subordinate ids, those of users in two ranges.
fn with_subordinate() -> Facts {
    let range = |first, count| SubordinateRange { first, count };
    let users = vec![range(100_000, 65_536), range(300_000, 10)];
    let subordinate = Subordinate { users, groups: vec![range(200_000, 65_536)] };
    Facts { subordinate: Some(Ok(subordinate)), ..facts() }
}

#[test]
fn a_sandbox_can_have_ranges_of_ids() {
    let ranges = |users: &[IdRange], groups: &[IdRange], from| {
        HostIdentity::Ranges(Ranges { users: users.to_vec(), groups: groups.to_vec(), from })
    };
    let auto = |user| mapped(IdMap::Auto, IdMap::Auto, user);
    let theirs = ranges(
        &[range(0, 1000, 1), range(1, 100_000, 65_536), range(65_537, 300_000, 10)],
        &[range(0, 1000, 1), range(1, 200_000, 65_536)],
        RangesFrom::Subordinate,
    );
    let (users, groups) = ([range(0, 100_000, 65_536)], [range(0, 200_000, 65_536)]);
    let own = [range(7, 1000, 1)];
    for (facts, profile, ids, host) in [
        (with_subordinate(), auto(None), (0, 0), theirs.clone()),
        (with_subordinate(), auto(Some((33, 33))), (33, 33), theirs),
        (root_facts(), auto(None), (0, 0), HostIdentity::UniqueRange),
        (root_facts(), auto(Some((65_535, 1))), (65_535, 1), HostIdentity::UniqueRange),
        (
            root_facts(),
            named(&users, &groups, None),
            (1000, 1000),
            ranges(&users, &groups, RangesFrom::Profile),
        ),
        (
            with_subordinate(),
            named(&users, &groups, None),
            (1000, 1000),
            ranges(&users, &groups, RangesFrom::Subordinate),
        ),
        // The one-id form, in other words.
        (facts(), named(&own, &own, Some((7, 7))), (7, 7), super::fixtures::own(1000, 1000)),
    ] {
        let found = as_user(&profile, &facts).unwrap().walls.identity;
        assert_eq!(((found.uid, found.gid), found.host), (ids, host));
    }
}

#[test]
fn ranges_that_a_caller_may_not_map_are_refused() {
    let refused =
        |profile: &Profile, facts: &Facts| as_user(profile, facts).expect_err("refused").to_string();
    let (users, groups) = ([range(0, 100_000, 65_536)], [range(0, 200_000, 65_536)]);
    let good = |user| named(&users, &groups, user);
    let (auto, root) = (mapped(IdMap::Auto, IdMap::Auto, None), root_facts());
    let without = |problem| Facts { subordinate: Some(Err(problem)), ..facts() };
    let no_range = SubordinateError::NoRange { file: "/etc/subuid", user: "me".to_owned() };
    let no_blocks = Facts { spare_blocks: None, ..root_facts() };
    let no_capabilities = Facts { capabilities: CapabilitySet::EMPTY, ..root_facts() };
    for (profile, facts, expected) in [
        // The host's root, for any caller.
        (named(&[range(0, 0, 65_536)], &groups, Some((0, 0))), &root, "host's root"),
        (named(&users, &[range(0, 0, 1)], Some((0, 0))), &root, "host's root"),
        (named(&[range(0, 0, 1)], &groups, Some((0, 0))), &with_subordinate(), "host's root"),
        // A task without an id.
        (good(Some((65_536, 0))), &root, "not among the ids"),
        (good(Some((0, 65_536))), &with_subordinate(), "not among the ids"),
        (mapped(IdMap::Auto, IdMap::Auto, Some((65_536, 0))), &root, "not among the ids"),
        // Ids of others: beside the ranges, over two of them, another user's own.
        (named(&[range(0, 99_999, 2)], &groups, Some((0, 0))), &with_subordinate(), "subordinate ids alone"),
        (named(&[range(0, 165_535, 2)], &groups, Some((0, 0))), &with_subordinate(), "subordinate ids alone"),
        (named(&users, &[range(0, 1001, 1)], Some((0, 0))), &with_subordinate(), "subordinate ids alone"),
        (named(&[range(0, 1000, 2)], &groups, Some((0, 0))), &with_subordinate(), "subordinate ids alone"),
        // setgroups(2) would be given up.
        (named(&users, &[range(0, 1000, 1)], Some((0, 0))), &with_subordinate(), "supplementary groups"),
        (good(None), &without(no_range.clone()), "no ranges of ids"),
        (auto.clone(), &without(no_range), "no ranges of ids"),
        (auto.clone(), &facts(), "not looked up"),
        (auto.clone(), &no_blocks, "maps no id that is free"),
        (auto, &no_capabilities, "without the capabilities"),
        (good(None), &no_capabilities, "without the capabilities"),
    ] {
        let told = refused(&profile, facts);
        assert!(told.contains(expected), "{told}: {expected}");
    }
}

#[test]
fn a_root_with_ranges_keeps_its_owners_and_other_mounts_show_theirs_as_the_tasks() {
    let rooted = |mut profile: Profile, facts: &Facts, owner: u32| {
        profile.root.path = Some("/srv/root".into());
        profile.root.readonly = false;
        profile.root.synthetic_etc = false;
        profile.mounts = vec![bind("/home/me/project", "/srv", false)];
        let files = files().directory("/srv/root/srv").owned("/srv/root", owner, owner, 0o755);
        let files = files.file("/srv/root/bin/tool", 0o700, elf::sample(62, None));
        let plan = resolve(&profile, facts, &files, &Call::program(["/bin/tool"])).expect("a plan");
        let Some(crate::plan::Root { base: crate::plan::Base::Directory(root), .. }) = &plan.walls.root
        else {
            panic!("{:?}", plan.walls.root)
        };
        (root.via, bound(&plan, "/srv").expect("a bind").0.via)
    };
    let auto = mapped(IdMap::Auto, IdMap::Auto, None);
    let shifted = [range(0, 100_000, 65_536)];
    let shifted = named(&shifted, &shifted, Some((0, 0)));
    let me = Via::Tree { idmap: Some(Mapped::Owner(1000, 1000)) };
    assert_eq!(rooted(auto.clone(), &root_facts(), 0), (Via::Tree { idmap: Some(Mapped::All) }, me));
    // It belongs to the sandbox's root already.
    assert_eq!(rooted(shifted.clone(), &root_facts(), 100_000), (Via::Path, me));
    assert_eq!(rooted(shifted, &root_facts(), 0), (Via::Tree { idmap: Some(Mapped::All) }, me));
    assert_eq!(rooted(auto, &with_subordinate(), 1000), (Via::Path, Via::Path));
}

#[test]
fn who_the_sandbox_is() {
    let with_user = |user: Option<(u32, u32)>, mut profile: Profile| {
        profile.process.user = user.map(|(uid, gid)| User { uid, gid });
        profile
    };
    let identity = |uid, gid, host| Identity { uid, gid, host };
    for (facts, user, profile, expected) in [
        (facts(), None, profile(), identity(1000, 1000, own(1000, 1000))),
        (facts(), Some((0, 0)), profile(), identity(0, 0, own(1000, 1000))),
        (root_facts(), None, profile(), identity(1000, 1000, HostIdentity::Unique)),
        (root_facts(), Some((0, 0)), profile(), identity(0, 0, HostIdentity::Unique)),
        (facts(), None, lite(), identity(1000, 1000, own(1000, 1000))),
        (facts(), Some((1000, 1000)), lite(), identity(1000, 1000, own(1000, 1000))),
        (root_facts(), Some((99, 98)), lite(), identity(99, 98, own(99, 98))),
        (root_facts(), None, lite(), identity(65_534, 65_534, HostIdentity::Unique)),
        // As in a container of podman's or Docker's defaults.
        (without_admin(), None, lite(), identity(65_534, 65_534, HostIdentity::Unique)),
        (without_admin(), Some((99, 98)), lite(), identity(99, 98, own(99, 98))),
        // `unshare -Ur`, as an ordinary user: one id, which is called root inside.
        (called_root(), None, profile(), identity(1000, 1000, own(0, 0))),
        (called_root(), Some((0, 0)), profile(), identity(0, 0, own(0, 0))),
        (called_root(), None, lite(), identity(0, 0, own(0, 0))),
    ] {
        assert_eq!(as_user(&with_user(user, profile), &facts).unwrap().walls.identity, expected);
    }
    let plain_root = Facts { capabilities: CapabilitySet::EMPTY, ..root_facts() };
    let alone = Facts { root_outside: true, ..called_root() };
    assert!(matches!(as_user(&profile(), &without_admin()), Err(PlanError::RootWithoutCapabilities)));
    assert!(matches!(as_user(&lite(), &plain_root), Err(PlanError::RootWithoutNamespaces)));
    assert!(matches!(as_user(&lite(), &alone), Err(PlanError::RootWithoutNamespaces)));
    assert!(matches!(as_user(&profile(), &plain_root), Err(PlanError::RootWithoutCapabilities)));
    assert!(matches!(as_user(&profile(), &alone), Err(PlanError::TooFewIds { mapped: 1 })));
    for (facts, user) in [(root_facts(), Some((0, 5))), (root_facts(), Some((5, 0))), (facts(), Some((0, 0)))]
    {
        let result = as_user(&with_user(user, lite()), &facts);
        assert!(matches!(result, Err(PlanError::RootWithoutNamespaces)), "{result:?}");
    }
    assert!(matches!(as_user(&with_user(Some((7, 7)), lite()), &facts()), Err(PlanError::User { .. })));
    assert!(matches!(
        as_user(&with_user(Some((u32::MAX, 7)), profile()), &facts()),
        Err(PlanError::Value { .. })
    ));
}

#[test]
fn root_hands_over_what_a_stranger_cannot_reach() {
    let idmapped = |source: &str, idmap| {
        let kind = MountKind::Bind { source: source.into(), idmap };
        with([crate::profile::Mount { readonly: true, ..mount("/x", kind) }])
    };
    let via =
        |profile: &Profile, facts: &Facts| bound(&as_user(profile, facts).unwrap(), "/x").unwrap().0.via;
    // /home/me is 0700, its owner is 1000.
    assert_eq!(via(&idmapped("/home/me/project", false), &root_facts()), Via::Tree { idmap: None });
    assert_eq!(via(&idmapped("/home/me", false), &root_facts()), Via::Path);
    assert_eq!(
        via(&idmapped("/home/me/project", true), &root_facts()),
        Via::Tree { idmap: Some(Mapped::Owner(1000, 1000)) }
    );
    assert_eq!(via(&idmapped("/opt", true), &root_facts()), Via::Tree { idmap: Some(Mapped::Owner(0, 0)) });
    assert_eq!(via(&idmapped("/home/me/project", true), &facts()), Via::Path);
    assert_eq!(
        via(&with([bind("/opt", "/x", false)]), &root_facts()),
        Via::Tree { idmap: Some(Mapped::Owner(0, 0)) }
    );
    assert_eq!(via(&with([bind("/opt", "/x", true)]), &root_facts()), Via::Path);
    let work = Profile { workdir: Workdir::Writable, ..profile() };
    let plan = as_user(&work, &root_facts()).unwrap();
    assert_eq!(
        bound(&plan, "/home/me/project").unwrap().0.via,
        Via::Tree { idmap: Some(Mapped::Owner(1000, 1000)) }
    );
    assert_eq!(bound(&plan, "/usr").unwrap().0.via, Via::Path);
}

#[test]
fn namespaces_belong_together() {
    let plan = as_user(&profile(), &facts()).unwrap();
    assert_eq!(plan.walls.namespaces, Namespaces::Own { new: 0x7e02_0000 });
    assert!(plan.walls.loopback);
    for missing in [Namespace::User, Namespace::Mount, Namespace::Pid] {
        let mut profile = profile();
        profile.namespaces.remove(&missing);
        assert!(matches!(as_user(&profile, &facts()), Err(PlanError::Value { key: "namespaces", .. })));
    }
    let mut host_net = profile();
    host_net.namespaces.remove(&Namespace::Network);
    let plan = as_user(&host_net, &facts()).unwrap();
    assert!(!plan.walls.loopback && !plan.walls.namespaces.has_new(libc::CLONE_NEWNET));
}

#[test]
fn host_names() {
    for (name, fine) in [
        ("glass", true),
        ("a.b-c_1", true),
        ("", false),
        ("a b", false),
        ("a\nb", false),
        (&"x".repeat(65), false),
    ] {
        let profile = Profile { hostname: Some(name.into()), ..profile() };
        assert_eq!(as_user(&profile, &facts()).is_ok(), fine, "{name:?}");
    }
    let mut profile = profile();
    profile.namespaces.remove(&Namespace::Uts);
    assert!(matches!(as_user(&profile, &facts()), Err(PlanError::Unenforceable { .. })));
}

#[test]
fn limits_become_numbers() {
    let mut profile = profile();
    let limit = |soft, hard| profile::Rlimit { soft, hard };
    profile.process.rlimits =
        [("nofile".into(), limit(Some(10), Some(20))), ("nproc".into(), limit(Some(5), None))].into();
    profile.limits.file_size = Some(1 << 30);
    profile.limits.cpu_time = Some(Duration::from_secs(7));
    profile.limits.timeout = Some(Duration::from_millis(1500));
    let mut facts = facts();
    facts.limits[7] = HostLimit { resource: 7, soft: 8, hard: 15 };
    let call = Call::program(["sh"]);
    let (plan, notes) = resolve_with_notes(&profile, &facts, &files(), &call).unwrap();
    assert_eq!(
        plan.task.attributes.rlimits,
        [
            Rlimit { resource: 0, soft: 7, hard: 8 },
            Rlimit { resource: 1, soft: 1 << 30, hard: 1 << 30 },
            Rlimit { resource: 6, soft: 5, hard: u64::MAX },
            // The caller's own hard limit is stricter, and a person is told.
            Rlimit { resource: 7, soft: 10, hard: 15 },
        ]
    );
    assert_eq!(notes, [Note::Lowered { resource: 7, asked: 20, given: 15 }]);
    assert!(plan.to_text(&notes).contains("limit nofile is 15, the caller's own, in place of 20"));
    assert_eq!(plan.limits.timeout_ms, Some(1500));
    for (soft, hard) in [(Some(2), Some(1)), (None, Some(1))] {
        profile.process.rlimits = [("nofile".into(), limit(soft, hard))].into();
        assert!(matches!(as_user(&profile, &facts), Err(PlanError::Value { .. })));
    }
    profile.process.rlimits = [("files".into(), limit(None, None))].into();
    assert!(matches!(as_user(&profile, &facts), Err(PlanError::UnknownName { .. })));
    profile.process.rlimits.clear();
    for wrong in [Duration::ZERO, Duration::from_millis(1500)] {
        profile.limits.cpu_time = Some(wrong);
        assert!(matches!(as_user(&profile, &facts), Err(PlanError::Value { key: "limits.cpu_time", .. })));
    }
    profile.limits.cpu_time = None;
    profile.limits.timeout = Some(Duration::from_micros(1));
    assert!(matches!(as_user(&profile, &facts), Err(PlanError::Value { key: "limits.timeout", .. })));
}

#[test]
fn limits_of_the_whole_sandbox_are_a_control_groups() {
    assert_eq!(as_user(&profile(), &facts()).expect("a plan").cgroup, None);
    let resources = profile::Resources {
        memory: Some(64 << 20),
        swap: Some(80 << 20),
        pids: Some(1),
        cpus: Some(1500),
        cpu_shares: Some(2),
        cpu_time: Some(Duration::from_millis(1500)),
        cgroup_parent: Some("/a".into()),
        io_weight: Some(200),
        throttles: vec![profile::Throttle {
            path: "/data".into(),
            kind: profile::Throttled::WriteIops,
            rate: 7,
        }],
        ..Default::default()
    };
    let plan = as_user(&Profile { resources, ..profile() }, &facts()).expect("a plan");
    let expected = Cgroup {
        parent: Some(c"/a".into()),
        memory: Some(64 << 20),
        swap: 16 << 20,
        pids: Some(1),
        cpus: Some(1500),
        cpu_shares: Some(2),
        cpu_time_ms: Some(1500),
        io_weight: Some(200),
        throttles: vec![Throttle { path: c"/data".into(), kind: profile::Throttled::WriteIops, rate: 7 }],
    };
    assert_eq!(plan.cgroup, Some(expected));
    assert!(plan.task.attributes.rlimits.is_empty());
    let resources = profile::Resources { memory: Some(4096), ..Default::default() };
    let result = as_user(&Profile { resources, ..profile() }, &facts());
    assert!(matches!(result, Err(PlanError::Value { key: "resources.memory.limit", .. })), "{result:?}");
}

#[test]
fn by_name_resource_limits_stand_in_for_a_control_group() {
    let resources = profile::Resources {
        memory: Some(64 << 20),
        pids: Some(9),
        cpu_time: Some(Duration::from_secs(2)),
        enforce: profile::Enforce::Rlimit,
        ..Default::default()
    };
    let plan = as_user(&Profile { resources, ..profile() }, &facts()).expect("a plan");
    let found: Vec<_> =
        plan.task.attributes.rlimits.iter().map(|limit| (limit.resource, limit.soft, limit.hard)).collect();
    assert_eq!(found, [(0, 2, 3), (6, 9, 9), (9, 64 << 20, 64 << 20)]);
    assert_eq!(plan.cgroup, None);
}

#[test]
fn what_nothing_enforces_is_refused() {
    let enforce = profile::Enforce::Rlimit;
    for resources in [
        profile::Resources { cpus: Some(1), enforce, ..Default::default() },
        profile::Resources { io_weight: Some(2), enforce, ..Default::default() },
        profile::Resources { cpu_shares: Some(2), enforce, ..Default::default() },
        profile::Resources { memory: Some(1), swap: Some(1), enforce, ..Default::default() },
        profile::Resources { cgroup_parent: Some("/a".into()), enforce, ..Default::default() },
    ] {
        let result = as_user(&Profile { resources, ..profile() }, &facts());
        let Err(error @ PlanError::Unenforceable { .. }) = result else { panic!("{result:?}") };
        assert!(error.hint().is_some() && error.exit_code() == 125);
    }
}

#[test]
fn the_environment_is_an_allow_list() {
    let mut profile = profile();
    profile.process.env = vec!["PATH=/usr/bin".into(), "TERM".into(), "UNSET".into(), "A=1=2".into()];
    let mut call = Call::program(["sh"]);
    call.caller_env =
        [("TERM", "xterm"), ("SECRET", "s"), ("PASSED", "p")].map(|(k, v)| (k.into(), v.into())).into();
    call.env = vec![
        ("A".into(), Some("3".into())),
        ("PASSED".into(), None),
        ("NOT".into(), None),
        ("E".into(), Some("".into())),
    ];
    let plan = resolve(&profile, &facts(), &files(), &call).unwrap();
    let env: Vec<&str> = plan.task.env.iter().map(|entry| entry.to_str().unwrap()).collect();
    assert_eq!(env, ["PATH=/usr/bin", "TERM=xterm", "A=3", "PASSED=p", "E="]);
    for (name, value) in
        [("", Some("x")), ("A=B", Some("x")), ("A\0", Some("x")), ("A", Some("x\0")), ("", None)]
    {
        call.env = vec![(name.into(), value.map(OsString::from))];
        assert!(
            matches!(resolve(&profile, &facts(), &files(), &call), Err(PlanError::Env { .. })),
            "{name:?}"
        );
    }
}

#[test]
fn arguments_and_environment_have_a_size() {
    let run = |args: Vec<String>, env: Vec<(OsString, Option<OsString>)>| {
        let call = Call { env, ..Call::program(std::iter::once("sh".to_owned()).chain(args)) };
        resolve(&profile(), &facts(), &files(), &call)
    };
    let long = |n: usize| "x".repeat(n);
    assert!(run(vec![long((128 << 10) - 1)], vec![]).is_ok());
    let error = run(vec![long(128 << 10)], vec![]).unwrap_err();
    assert!(error.to_string().contains("argument 1") && error.exit_code() == 126, "{error}");
    let error = run(vec!["a\0b\\".into()], vec![]).unwrap_err().to_string();
    assert!(error.contains(r#""a\0b\\""#), "{error}");
    let error = run(vec![], vec![("a\0b".into(), None)]).unwrap_err().to_string();
    assert!(error.contains(r#""a\x00b""#), "{error}");
    // 6 MiB in all, however much stack there is.
    assert!(run(vec![long(100 << 10); 60], vec![]).is_ok());
    assert!(matches!(run(vec![long(100 << 10); 62], vec![]), Err(PlanError::TooLong { .. })));
    let big: Vec<_> = (0..62).map(|i| (format!("V{i}").into(), Some(long(100 << 10).into()))).collect();
    assert!(matches!(run(vec![], big), Err(PlanError::TooLong { .. })));
    // A quarter of a small stack.
    let mut small = profile();
    small.process.rlimits = [("stack".into(), profile::Rlimit { soft: Some(1 << 20), hard: None })].into();
    let call = |n| Call::program(std::iter::once("sh".to_owned()).chain(vec![long(50 << 10); n]));
    assert!(resolve(&small, &facts(), &files(), &call(4)).is_ok());
    assert!(matches!(resolve(&small, &facts(), &files(), &call(6)), Err(PlanError::TooLong { .. })));
}

#[test]
fn roles_and_functions() {
    let run = |task| resolve(&profile(), &facts(), &files(), &Call::new(task));
    let role = |name: &str| TaskRequest::Role { name: name.into(), args: vec!["x".into()] };
    assert_eq!(run(role("probe")).unwrap().task.workload, Workload::Role { name: "probe".into() });
    for wrong in ["", "a/b", "a\nb"] {
        assert!(matches!(run(role(wrong)), Err(PlanError::Value { key: "role", .. })), "{wrong:?}");
    }
    let call = TaskRequest::Function { entry: -5, function: 7 };
    assert_eq!(run(call).unwrap().task.workload, Workload::Call { entry: -5, function: 7 });
}

#[test]
fn descriptors_and_terminals() {
    let run = |descriptors: Vec<i32>, terminal, profile: &Profile| {
        resolve(profile, &facts(), &files(), &Call { descriptors, terminal, ..Call::program(["sh"]) })
    };
    assert_eq!(run(vec![9, 3], false, &profile()).unwrap().task.descriptors, [3, 9]);
    for wrong in [vec![2], vec![-1], vec![4, 4], (3..2000).collect()] {
        assert!(run(wrong, false, &profile()).is_err());
    }
    assert!(run(vec![], true, &profile()).unwrap().task.terminal);
    let mut limited = profile();
    limited.limits.output = Some(1 << 20);
    assert!(run(vec![], false, &limited).is_ok());
    let refused = run(vec![], true, &limited);
    assert!(matches!(refused, Err(PlanError::Unenforceable { key, .. }) if key == "limits.output"));
    let mut bare = profile();
    bare.mounts.retain(|m| m.kind != MountKind::Dev);
    assert!(matches!(run(vec![], true, &bare), Err(PlanError::Unenforceable { .. })));
    assert!(matches!(run(vec![], true, &lite()), Err(PlanError::Unenforceable { .. })));
}

#[test]
fn a_plan_survives_its_bytes() {
    for (profile, facts) in [(profile(), facts()), (profile(), root_facts()), (lite(), facts())] {
        let plan = as_user(&profile, &facts).unwrap();
        let bytes = plan.encode().unwrap();
        assert_eq!(Plan::decode(&bytes).unwrap(), plan);
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(matches!(Plan::decode(&longer), Err(PlanError::Decode { .. })));
        assert!(Plan::decode(&bytes[..bytes.len() - 1]).is_err());
        assert_eq!(plan.hash().unwrap().len(), 64);
        let json = plan.to_json(&[]);
        assert_eq!(json["hash"], plan.hash().unwrap());
        assert_eq!(json["task"]["argv"][0], "sh");
    }
}

#[test]
fn a_plan_that_could_not_be_is_refused() {
    let good = as_user(&profile(), &facts()).unwrap();
    type Breaks = Box<dyn Fn(&mut Plan)>;
    let broken: Vec<(&str, Breaks)> = vec![
        ("cwd", Box::new(|p| p.task.cwd = c"tmp".into())),
        ("cwd parent", Box::new(|p| p.task.cwd = c"/a/../b".into())),
        ("namespaces", Box::new(|p| p.walls.namespaces = Namespaces::Own { new: 1 })),
        ("half of them", Box::new(|p| p.walls.namespaces = Namespaces::Own { new: 0x6e02_0000 })),
        ("no root", Box::new(|p| p.walls.root = None)),
        ("host name", Box::new(|p| p.walls.hostname = Some(c"".into()))),
        ("id", Box::new(|p| p.walls.identity.uid = u32::MAX)),
        ("umask", Box::new(|p| p.task.attributes.umask = 0o1000)),
        ("capabilities", Box::new(|p| p.task.capabilities = CapabilitySet::from_bits(1 << 41))),
        ("env", Box::new(|p| p.task.env.push(c"=x".into()))),
        ("argv", Box::new(|p| p.task.workload = Workload::Program { path: c"/x".into(), argv: vec![] })),
        (
            "program",
            Box::new(|p| p.task.workload = Workload::Program { path: c"x".into(), argv: vec![c"x".into()] }),
        ),
        ("role", Box::new(|p| p.task.workload = Workload::Role { name: "a/b".into() })),
        ("descriptors", Box::new(|p| p.task.descriptors = vec![5, 4])),
        ("low descriptor", Box::new(|p| p.task.descriptors = vec![1])),
        ("limit", Box::new(|p| p.task.attributes.rlimits = vec![Rlimit { resource: 16, soft: 0, hard: 0 }])),
        ("limits", Box::new(|p| p.task.attributes.rlimits = vec![Rlimit { resource: 1, soft: 2, hard: 1 }])),
        ("order", Box::new(|p| p.walls.root.as_mut().unwrap().nodes.reverse())),
        (
            "twice",
            Box::new(|p| {
                let nodes = &mut p.walls.root.as_mut().unwrap().nodes;
                nodes.push(nodes[0].clone());
            }),
        ),
        ("rule", Box::new(|p| p.task.landlock.as_mut().unwrap().rules[0].access = 1 << 40)),
        ("rights", Box::new(|p| p.task.landlock.as_mut().unwrap().handled_fs = 1 << 40)),
        (
            "filter",
            Box::new(|p| {
                let program = crate::seccomp::Program { instructions: vec![] };
                p.task.seccomp = Some(crate::plan::Seccomp { flags: 0, program, readback: None });
            }),
        ),
    ];
    good.check().unwrap();
    for (what, break_it) in broken {
        let mut plan = good.clone();
        break_it(&mut plan);
        assert!(plan.check().is_err(), "{what}");
        assert!(Plan::decode(&plan.encode().unwrap()).is_err(), "{what}");
    }
}

proptest::proptest! {
    #[test]
    fn decoding_anything_is_calm(bytes: Vec<u8>) {
        let _ = Plan::decode(&bytes);
    }

    #[test]
    fn decoding_a_damaged_plan_is_calm(at: proptest::sample::Index, byte: u8) {
        let mut bytes = as_user(&profile(), &facts()).unwrap().encode().unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(plan) = Plan::decode(&bytes) {
            plan.check().unwrap();
        }
    }
}

/// core(5): with 0 a pipe of core_pattern is started all the same, and no process inside could raise it.
#[test]
fn a_core_limit_of_none_is_refused_where_it_would_start_a_handler() {
    let core = |soft, hard| {
        let mut profile = profile();
        let limit = profile::Rlimit { soft: Some(soft), hard: Some(hard) };
        profile.process.rlimits = [("core".into(), limit)].into();
        profile
    };
    let mut facts = facts();
    facts.limits[4] = HostLimit { resource: 4, soft: 0, hard: 0 };
    let plan = |profile: &Profile, facts: &Facts| resolve(profile, facts, &files(), &Call::program(["sh"]));
    assert_eq!(
        plan(&core(1, 1), &facts).unwrap().task.attributes.rlimits[0],
        Rlimit { resource: 4, soft: 0, hard: 0 }
    );
    facts.crash_handler = true;
    let error = plan(&core(1, 1), &facts).unwrap_err().to_string();
    assert!(error.contains("process.rlimits.core") && error.contains("crash handler"), "{error}");
    assert!(plan(&core(0, 0), &facts).is_ok());
}

/// It has nothing to do with the program's arguments, of which the exit status 126 would tell.
#[test]
fn a_plan_that_is_too_long_is_belljar_s_own_refusal() {
    let mut long = plan(&profile()).unwrap();
    long.task.env = vec![std::ffi::CString::new(vec![b'x'; crate::plan::MAX_ENCODED]).unwrap()];
    for error in [long.encode().unwrap_err(), long.task.encode().unwrap_err()] {
        assert_eq!((error.exit_code(), error.hint()), (125, None), "{error}");
        assert!(error.to_string().contains("at most 16777216"), "{error}");
    }
}

#[test]
fn a_program_with_a_nul_is_named_as_it_is() {
    let error = resolve(&profile(), &facts(), &files(), &Call::program(["a\0"])).unwrap_err().to_string();
    assert!(error.contains(r#""a\x00""#), "{error}");
}

#[test]
fn a_descriptor_that_is_no_number_to_keep_is_told_the_first() {
    for number in [-1, 2] {
        let call = Call { descriptors: vec![number], ..Call::program(["sh"]) };
        let error = resolve(&profile(), &facts(), &files(), &call).unwrap_err().to_string();
        assert!(error.contains(&format!("\"{number}\": descriptors are numbered from 3")), "{error}");
    }
}
