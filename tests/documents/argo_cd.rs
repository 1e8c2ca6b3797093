//! The health check for Argo CD, in a real Lua interpreter, on what the controller wrote.

use std::fs;
use std::path::PathBuf;

use mlua::{Lua, LuaSerdeExt, Table};
use serde_json::Value;

fn folder() -> PathBuf {
    let module = "docs/gitops/resource_customizations/bywash.dev/GatewayPolicy";
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(module)
}

pub(crate) fn read(file: &str) -> Value {
    let path = folder().join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|it| panic!("{}: {it}", path.display()));
    serde_saphyr::from_str(&text).unwrap()
}

/// Status and message of an object's health, as Argo CD asks for it.
pub(crate) fn health(object: &Value) -> (String, String) {
    let lua = Lua::new();
    let object = lua.to_value(object).unwrap();
    lua.globals().set("obj", object).unwrap();
    let script = fs::read_to_string(folder().join("health.lua")).unwrap();
    let health: Table = lua.load(script).eval().unwrap();
    (
        health.get("status").unwrap(),
        health.get("message").unwrap(),
    )
}

/// The object in each case of `health_test.yaml`, with the health and the message that it is to have.
pub(crate) fn cases() -> Vec<(String, Value)> {
    let tests = read("health_test.yaml");
    let tests = tests["tests"].as_array().unwrap().clone();
    let input = |test: &Value| test["inputPath"].as_str().unwrap().to_owned();
    tests
        .into_iter()
        .map(|test| (input(&test), test["healthStatus"].clone()))
        .collect()
}

#[test]
fn argo_cd_shows_the_health_that_its_own_test_says() {
    let cases = cases();
    assert!(cases.len() > 4, "{cases:?}");
    for (file, wanted) in cases {
        let (status, message) = health(&read(&file));
        assert_eq!(wanted["status"], *status, "{file}: {message}");
        if let Some(text) = wanted["message"].as_str() {
            assert_eq!(message, text, "{file}");
        }
        assert!(!message.is_empty(), "{file}");
    }
}

#[test]
fn a_502_is_part_of_the_message_and_never_of_the_health() {
    let (status, message) = health(&read("testdata/failing.yaml"));
    assert_eq!(status, "Healthy");
    assert!(message.contains("BadGateway: "), "{message}");
}

#[test]
fn a_status_of_an_older_generation_is_no_health_yet() {
    let mut object = read("testdata/in-force.yaml");
    object["metadata"]["generation"] = Value::from(7);
    assert_eq!(health(&object).0, "Progressing");
    object.as_object_mut().unwrap().remove("status");
    assert_eq!(health(&object).0, "Progressing");
}
