//! `process.scheduler` and `process.ioPriority`: every form that they take, and what is refused.

use belljar::internals::profile::{IoClass, IoPriority, Scheduler, SchedulerPolicy};

use super::*;

fn strict(text: &str) -> Result<Profile, ProfileError> {
    Profile::from_toml_with::<&str>(&format!("extends = \"strict\"\n{text}"), "p.toml", &[])
}

#[test]
fn both_forms_are_read_and_printed() {
    let scheduler =
        |policy, nice, priority, reset_on_fork| Some(Scheduler { policy, nice, priority, reset_on_fork });
    assert_eq!(strict("").expect("a profile").process.scheduler, None);
    for (text, expected) in [
        ("\"batch:10\"", scheduler(SchedulerPolicy::Batch, Some(10), 0, false)),
        ("\"other:-20\"", scheduler(SchedulerPolicy::Other, Some(-20), 0, false)),
        ("\"idle\"", scheduler(SchedulerPolicy::Idle, None, 0, false)),
        ("\"fifo:99\"", scheduler(SchedulerPolicy::Fifo, None, 99, false)),
        ("\"SCHED_RR:1\"", scheduler(SchedulerPolicy::Rr, None, 1, false)),
        ("{ policy = \"SCHED_OTHER\" }", scheduler(SchedulerPolicy::Other, None, 0, false)),
        ("{ nice = 1 }", scheduler(SchedulerPolicy::Other, Some(1), 0, false)),
        ("{ policy = \"SCHED_BATCH\", nice = -3 }", scheduler(SchedulerPolicy::Batch, Some(-3), 0, false)),
        (
            "{ policy = \"SCHED_FIFO\", priority = 5, flags = [\"SCHED_FLAG_RESET_ON_FORK\"] }",
            scheduler(SchedulerPolicy::Fifo, None, 5, true),
        ),
    ] {
        let profile = strict(&format!("process.scheduler = {text}")).expect(text);
        assert_eq!(profile.process.scheduler, expected, "{text}");
        let again = Profile::from_toml(&profile.to_toml(), "p.toml").expect("what was printed");
        assert_eq!(again.process, profile.process, "{text}");
    }
    for (text, class, priority) in [
        ("\"idle\"", IoClass::Idle, 0),
        ("\"best-effort\"", IoClass::BestEffort, 4),
        ("\"best-effort:0\"", IoClass::BestEffort, 0),
        ("{ class = \"IOPRIO_CLASS_BE\", priority = 7 }", IoClass::BestEffort, 7),
        ("{ class = \"IOPRIO_CLASS_IDLE\" }", IoClass::Idle, 0),
        ("{ priority = 1 }", IoClass::BestEffort, 1),
    ] {
        let profile = strict(&format!("process.ioPriority = {text}")).expect(text);
        assert_eq!(profile.process.io_priority, Some(IoPriority { class, priority }), "{text}");
        let again = Profile::from_toml(&profile.to_toml(), "p.toml").expect("what was printed");
        assert_eq!(again.process, profile.process, "{text}");
    }
}

#[test]
fn what_no_kernel_takes_is_refused() {
    for (text, words) in [
        ("scheduler = \"batsh\"", &["process.scheduler", "unknown scheduling policy", "batch?"][..]),
        ("scheduler = \"batch:20\"", &["a nice value of -20 to 19"]),
        ("scheduler = \"batch:ten\"", &["a whole number"]),
        ("scheduler = \"idle:1\"", &["no number"]),
        ("scheduler = \"fifo\"", &["a priority of 1 to 99"]),
        ("scheduler = \"rr:100\"", &["a priority of 1 to 99"]),
        ("scheduler = \"fifo:-1\"", &["a priority of 1 to 99"]),
        ("scheduler = { policy = \"SCHED_FIFO\", priority = 1, nice = 1 }", &["a priority of 1 to 99"]),
        ("scheduler = { policy = \"SCHED_OTHER\", priority = 1 }", &["a nice value"]),
        ("scheduler = { priority = 1 }", &["a nice value"]),
        ("scheduler = { policy = \"SCHED_DEADLINE\" }", &["SCHED_DEADLINE", "CAP_SYS_NICE"]),
        ("scheduler = { policy = \"SCHED_OTHER\", flags = [\"SCHED_FLAG_RECLAIM\"] }", &["scheduler flag"]),
        ("ioPriority = \"realtime\"", &["process.ioPriority", "CAP_SYS_NICE"]),
        ("ioPriority = \"best-effort:8\"", &["a priority of 0 to 7"]),
        ("ioPriority = \"idle:1\"", &["no number"]),
        ("ioPriority = { class = \"IOPRIO_CLASS_IDLE\", priority = 1 }", &["no number"]),
    ] {
        let error = strict(&format!("process.{text}")).expect_err(text);
        let message = belljar::error_chain(&error);
        for word in words {
            assert!(message.contains(word), "{text}: {message}");
        }
    }
    let mut profile = strict("").expect("a profile");
    let wrong = Scheduler { policy: SchedulerPolicy::Fifo, nice: None, priority: 0, reset_on_fork: false };
    profile.change(|profile| profile.process.scheduler = Some(wrong)).expect_err("no priority");
}
