use super::*;

fn reports() -> (watch::Sender<Others>, Reports) {
    let client = || {
        let config = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
        Client::try_from(config).unwrap()
    };
    let reports = Reports {
        requests: client(),
        watches: client(),
        namespace: "bywash".into(),
        field_manager: "ours".into(),
        replica: "bywash-0".into(),
    };
    (watch::channel(Others::new()).0, reports)
}

fn map(replica: &str, time: u64) -> ConfigMap {
    let report = ReplicaReport {
        replica: replica.into(),
        time,
        ..ReplicaReport::default()
    };
    let text = serde_json::to_string(&report).unwrap();
    serde_json::from_value(json!({"metadata": {"name": "any"}, "data": {KEY: text}})).unwrap()
}

#[tokio::test]
async fn a_report_is_as_old_as_its_last_change_by_our_own_clock() {
    let (others, reports) = reports();
    reports.take(&map("bywash-1", 7), &others);
    let first = others.borrow()["bywash-1"].at;
    reports.take(&map("bywash-1", 7), &others);
    assert_eq!(others.borrow()["bywash-1"].at, first);
    reports.take(&map("bywash-1", 8), &others);
    assert_eq!(others.borrow()["bywash-1"].report.time, 8);
    assert!(others.borrow()["bywash-1"].at >= first);
}

#[tokio::test]
async fn ones_own_report_and_what_is_none_are_passed_over() {
    let (others, reports) = reports();
    reports.take(&map("bywash-0", 7), &others);
    reports.take(&map("", 7), &others);
    let broken = json!({"metadata": {"name": "any"}, "data": {KEY: "{"}});
    reports.take(&serde_json::from_value(broken).unwrap(), &others);
    assert!(others.borrow().is_empty());
}
