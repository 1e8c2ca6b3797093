use http::{Method, StatusCode};
use kube::api::PostParams;
use serde_json::Value;

use super::*;
use crate::stores::fake_api::FakeApi;

const CONFIG_MAPS: &str = "/api/v1/namespaces/bywash/configmaps";

fn reports(config: &kube::Config) -> Reports {
    let client = || Client::try_from(config.clone()).unwrap();
    Reports {
        requests: client(),
        watches: client(),
        namespace: "bywash".into(),
        field_manager: "ours".into(),
        replica: "bywash-0".into(),
        counts: WriteCounts::default(),
    }
}

fn unreachable() -> Reports {
    reports(&kube::Config::new("http://127.0.0.1:1".parse().unwrap()))
}

fn report(replica: &str, time: u64) -> ReplicaReport {
    ReplicaReport {
        replica: replica.into(),
        time,
        ..ReplicaReport::default()
    }
}

/// What a replica tells, of a Pod with this identity, written at this time.
fn map(replica: &str, (uid, written): (&str, &str)) -> Value {
    let text = serde_json::to_string(&report(replica, 7)).unwrap();
    json!({
        "metadata": {
            "name": format!("{NAME}{replica}"),
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "Pod", "name": replica, "uid": uid},
            ],
            "managedFields": [
                {"manager": "ours", "time": written},
                {"manager": "kubectl", "time": "2026-11-24T17:59:59Z"},
            ],
        },
        "data": {KEY: text},
    })
}

fn heard(reports: &Reports, map: Value) -> Option<Heard> {
    reports.hear(&serde_json::from_value(map).unwrap())
}

#[test]
fn a_report_is_as_old_as_its_last_change_by_our_own_clock() {
    let mut others = Others::new();
    let begin = Instant::now();
    let later = |seconds| begin + Duration::from_secs(seconds);
    assert!(take(report("bywash-1", 7), later(1), &mut others));
    assert!(!take(report("bywash-1", 7), later(2), &mut others));
    assert_eq!(others["bywash-1"].at, later(1));
    assert!(take(report("bywash-1", 8), later(3), &mut others));
    assert_eq!(others["bywash-1"].at, later(3));
}

#[tokio::test]
async fn what_is_no_report_is_passed_over() {
    let reports = unreachable();
    assert!(heard(&reports, map("", ("u", "2026-11-24T17:42:30Z"))).is_none());
    let broken = json!({"metadata": {"name": "any"}, "data": {KEY: "{"}});
    assert!(heard(&reports, broken).is_none());
}

/// The ages in seconds of what a new leader takes into account of these.
async fn ages(api: &FakeApi, maps: &[(&str, (&str, &str))]) -> BTreeMap<String, u64> {
    let reports = reports(&api.config());
    let listed = maps.iter().map(|(name, what)| map(name, *what));
    let listed = listed.filter_map(|map| heard(&reports, map)).collect();
    let (others, shown) = watch::channel(Others::new());
    reports.take_all(listed, &others).await;
    let shown = shown.borrow();
    let age = |it: &Received| it.at.elapsed().as_secs();
    shown
        .iter()
        .map(|(name, it)| (name.clone(), age(it)))
        .collect()
}

/// There is a Pod.
async fn pod(api: &FakeApi, name: &str, (uid, phase): (&str, &str)) {
    let pod = json!({
        "metadata": {"name": name, "uid": uid}, "status": {"phase": phase},
    });
    let client = Client::try_from(api.config()).unwrap();
    let pods = Api::<Pod>::namespaced(client, "bywash");
    let pod = serde_json::from_value(pod).unwrap();
    pods.create(&PostParams::default(), &pod).await.unwrap();
}

#[tokio::test]
async fn a_report_that_nobody_renews_is_no_younger_for_a_new_leader() {
    let api = FakeApi::start().await;
    pod(&api, "bywash-1", ("one", "Running")).await;
    pod(&api, "bywash-2", ("two", "Running")).await;
    let found = ages(
        &api,
        &[
            ("bywash-0", ("own", "2026-11-24T17:42:30Z")),
            ("bywash-1", ("one", "2026-11-24T17:42:25Z")),
            ("bywash-2", ("two", "2026-11-24T17:32:30Z")),
        ],
    )
    .await;
    let names: Vec<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(names, ["bywash-1", "bywash-2"], "its own is no other's");
    assert!((5..60).contains(&found["bywash-1"]), "{found:?}");
    assert!((600..660).contains(&found["bywash-2"]), "{found:?}");
}

#[tokio::test]
async fn a_report_whose_pod_is_gone_or_runs_no_more_does_not_count_for_a_new_leader() {
    let api = FakeApi::start().await;
    pod(&api, "evicted", ("e", "Failed")).await;
    pod(&api, "ended", ("d", "Succeeded")).await;
    pod(&api, "another", ("new", "Running")).await;
    pod(&api, "lives", ("l", "Running")).await;
    let at = "2026-11-24T17:42:30Z";
    let all = ["evicted", "ended", "another", "gone"];
    let mut maps = all.map(|name| (name, ("old", at))).to_vec();
    maps.push(("lives", ("l", at)));
    let found = ages(&api, &maps).await;
    assert_eq!(found.into_keys().collect::<Vec<_>>(), ["lives"]);
}

#[tokio::test]
async fn a_report_counts_where_it_is_not_known_whether_its_pod_lives() {
    let api = FakeApi::start().await;
    api.refuse("/pods", StatusCode::FORBIDDEN);
    let found = ages(&api, &[("bywash-1", ("one", "2026-11-24T17:42:30Z"))]).await;
    assert_eq!(found.into_keys().collect::<Vec<_>>(), ["bywash-1"]);
}

/// A replica that tells what it is given.
async fn telling(api: &FakeApi) -> watch::Sender<Option<Arc<ReplicaReport>>> {
    pod(api, "bywash-0", ("own", "Running")).await;
    let (tell, told) = watch::channel(None);
    tokio::spawn(reports(&api.config()).tell(told));
    tell
}

/// When the next report is written or tried to, and the time that it bears.
async fn written(api: &mut FakeApi) -> (Instant, u64) {
    loop {
        let request = api.next().await;
        if request.method == Method::PATCH {
            assert_eq!(request.path, format!("{CONFIG_MAPS}/{NAME}bywash-0"));
            let text = request.body["data"][KEY].as_str().unwrap();
            let report: ReplicaReport = serde_json::from_str(text).unwrap();
            return (Instant::now(), report.time);
        }
    }
}

#[tokio::test]
async fn a_report_that_could_not_be_written_is_tried_again_without_a_newer_one() {
    let mut api = FakeApi::start().await;
    let tell = telling(&api).await;
    api.refuse("/configmaps", StatusCode::INTERNAL_SERVER_ERROR);
    tell.send_replace(Some(Arc::new(report("bywash-0", 1))));
    let (first, _) = written(&mut api).await;
    api.refuse_nothing();
    let (second, time) = written(&mut api).await;
    assert_eq!(time, 1);
    let pause = second - first;
    assert!(
        pause >= APART - TOLERANCE && pause < LOOK_AGAIN,
        "{pause:?}"
    );
}

#[tokio::test]
async fn reports_are_written_at_most_once_in_two_seconds_and_then_the_newest() {
    let mut api = FakeApi::start().await;
    let tell = telling(&api).await;
    tell.send_replace(Some(Arc::new(report("bywash-0", 1))));
    let (first, _) = written(&mut api).await;
    for time in 2..=5 {
        tell.send_replace(Some(Arc::new(report("bywash-0", time))));
    }
    let (second, time) = written(&mut api).await;
    assert_eq!(time, 5);
    assert!(second - first >= APART - TOLERANCE, "{:?}", second - first);
}

#[tokio::test]
async fn writes_are_counted_by_what_became_of_them_and_so_are_those_that_a_missing_right_prevents()
{
    let api = FakeApi::start().await;
    let reports = reports(&api.config());
    let report = report("bywash-0", 1);
    let write = async || reports.write(&mut Owner::Unknown(None), &report).await;
    assert!(write().await.is_ok());
    assert!(
        reports.counts.now().is_empty(),
        "without a Pod there is none"
    );
    pod(&api, "bywash-0", ("own", "Running")).await;
    for part in ["/configmaps", "/pods"] {
        api.refuse(part, StatusCode::FORBIDDEN);
        assert!(write().await.is_err(), "{part}");
    }
    api.refuse_nothing();
    assert!(write().await.is_ok());
    let expected = [
        (("ConfigMap", "forbidden"), 2),
        (("ConfigMap", "written"), 1),
    ];
    assert_eq!(reports.counts.now(), BTreeMap::from(expected));
}

/// A request may be on its way for longer than the next.
const TOLERANCE: Duration = Duration::from_millis(500);

#[test]
fn what_fails_again_is_tried_less_and_less_often_and_what_is_forbidden_seldom() {
    let failed = || WriteError::Retry(Box::new(kube::Error::LinesCodecMaxLineLengthExceeded));
    let pauses = (0..6).map(|failures| again(&failed(), failures).as_secs());
    assert_eq!(pauses.collect::<Vec<_>>(), [2, 4, 8, 16, 30, 30]);
    assert_eq!(again(&failed(), u32::MAX), LONGEST);
    assert_eq!(again(&WriteError::Gone, 0), LOOK_AGAIN);
}
