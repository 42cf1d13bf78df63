use nix::errno::Errno;

use super::*;
use crate::capability::CapabilitySet;
use crate::doctor::layer::Layer;
use crate::doctor::trial::{Miss, Outcome};
use crate::host::{Failure, Step, Symptoms};

fn finding(layer: Layer, outcome: Outcome, needed_by: &[&str]) -> Finding {
    let symptoms = Symptoms {
        apparmor_userns: Some(1),
        program: Some("/usr/bin/belljar".into()),
        capabilities: Some(CapabilitySet::EMPTY),
        uid: 1000,
        ..Symptoms::default()
    };
    Finding::new(layer, outcome, &symptoms, needed_by.iter().map(|&name| name.to_owned()).collect())
}

fn restricted() -> Vec<Finding> {
    let refused = |step, call: &str, object: &str| {
        Outcome::Ran(Err(Miss::Failed(Failure::new(step, call, object, Errno::EPERM))))
    };
    vec![
        finding(Layer::Proc, Outcome::Ran(Ok("whole".to_owned())), &["strict", "lite"]),
        finding(Layer::IdMap, refused(Step::IdMap, "write", "uid_map"), &["strict"]),
        finding(Layer::Loopback, refused(Step::Loopback, "ioctl(SIOCSIFFLAGS)", "lo"), &["strict"]),
        finding(Layer::Overlay, Outcome::Hung, &[]),
    ]
}

#[test]
fn a_page_names_each_layer_each_profile_and_each_cause_once() {
    let mut page = Vec::new();
    render(&restricted(), &mut page).expect("a page");
    let page = String::from_utf8(page).expect("text");
    assert!(page.contains("id-map             missing  write uid_map: EPERM (needed by strict)\n"), "{page}");
    assert!(page.contains("overlay            unknown  the trial did not come back in time\n"), "{page}");
    assert!(page.contains("lite               runs here\n"), "{page}");
    assert!(page.contains("strict             does not run here: id-map, loopback\n"), "{page}");
    assert!(page.contains("\nid-map, loopback: AppArmor lets only listed programs"), "{page}");
    assert_eq!(page.matches("sudo apparmor_parser -r /etc/apparmor.d/belljar").count(), 1, "{page}");
}

#[test]
fn the_exit_code_is_about_the_default_profile() {
    let mut findings = restricted();
    assert_eq!(exit_code(&findings), 1);
    for finding in &mut findings {
        finding.state = State::Works;
    }
    assert_eq!(exit_code(&findings), 0);
    assert_eq!(exit_code(&[]), 1);
}

#[test]
fn json_holds_the_same() {
    let mut text = Vec::new();
    json(&restricted(), &mut text).expect("json");
    let value: serde_json::Value = serde_json::from_slice(&text).expect("json");
    assert_eq!(value["layers"][1]["layer"], "id-map");
    assert_eq!(value["layers"][1]["state"], "missing");
    assert_eq!(value["layers"][1]["errno"], "EPERM");
    assert_eq!(value["layers"][1]["needed_by"][0], "strict");
    assert_eq!(value["layers"][1]["fix"].as_array().map(Vec::len), Some(2));
    assert_eq!(value["layers"][0]["errno"], serde_json::Value::Null);
    assert_eq!(value["profiles"][0]["profile"], "lite");
    assert_eq!(value["profiles"][1]["lacks"], serde_json::json!(["id-map", "loopback"]));
}
