use super::*;

#[test]
fn children_are_listed_once_and_the_list_is_read_again_without_opening_it() {
    let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("a child");
    let list = File::open("/proc/thread-self/children").expect("the list");
    let ender = KillHandle { ending: Ending::Children, children: Some(list) };
    let pid = libc::pid_t::try_from(child.id()).expect("a number");
    for _ in 0..2 {
        let mut found = Vec::new();
        ender.children(|pid| found.push(pid));
        assert_eq!(found.iter().filter(|found| **found == pid).count(), 1, "{found:?}");
    }
    child.kill().expect("killed");
    child.wait().expect("waited for");
    let mut found = Vec::new();
    ender.children(|pid| found.push(pid));
    assert!(!found.contains(&pid), "{found:?}");
}

#[test]
fn what_a_pid_namespace_ends_is_not_counted_as_left() {
    assert_eq!(KillHandle { ending: Ending::Namespace, children: None }.left(), 0);
    assert_eq!(KillHandle { ending: Ending::Scope, children: None }.left(), 1);
}
