use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass, IngressStatus};
use kube::core::DeserializeGuard;
use kube::runtime::watcher::Event;
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::*;
use crate::api::policy::GatewayPolicy;
use crate::report::{Code, Kind};
use crate::stores::Feed;

type Published = watch::Receiver<Option<Arc<Reconciled>>>;

struct Scenario {
    feed: Option<Feed>,
    published: Published,
    running: JoinHandle<()>,
}

fn scenario() -> Scenario {
    let (feed, source) = crate::stores::source();
    let (publish, published) = watch::channel(None);
    let running = tokio::spawn(run(source, Settings::default(), publish));
    Scenario {
        feed: Some(feed),
        published,
        running,
    }
}

fn object<K: DeserializeOwned + kube::Resource<DynamicType = ()>>(
    namespace: &str,
    name: &str,
    version: u32,
    spec: Value,
) -> DeserializeGuard<K> {
    serde_json::from_value(json!({
        "apiVersion": K::api_version(&()), "kind": K::kind(&()),
        "metadata": {"namespace": namespace, "name": name, "resourceVersion": version.to_string()},
        "spec": spec,
    }))
    .unwrap()
}

fn ingress(version: u32, host: &str) -> DeserializeGuard<Ingress> {
    let path = json!({
        "path": "/", "pathType": "Prefix",
        "backend": {"service": {"name": "absent", "port": {"number": 80}}},
    });
    let rules = json!([{"host": host, "http": {"paths": [path]}}]);
    object(
        "shop",
        "web",
        version,
        json!({"ingressClassName": "bywash", "rules": rules}),
    )
}

impl Scenario {
    fn feed(&self) -> &Feed {
        self.feed.as_ref().unwrap()
    }

    /// Every kind is read; there is our class, and nothing else.
    fn sync(&self) {
        let class = object(
            "",
            "bywash",
            1,
            json!({"controller": "bywash.dev/ingress-controller"}),
        );
        let feed = self.feed();
        feed.apply::<IngressClass>(Event::Init);
        feed.apply::<IngressClass>(Event::InitApply(class));
        feed.apply::<IngressClass>(Event::InitDone);
        feed.apply::<Ingress>(Event::InitDone);
        feed.apply::<Service>(Event::InitDone);
        feed.apply::<EndpointSlice>(Event::InitDone);
        feed.apply::<Secret>(Event::InitDone);
        feed.apply::<ConfigMap>(Event::InitDone);
        feed.apply_pages(Event::InitDone);
        feed.apply::<GatewayPolicy>(Event::InitDone);
    }

    fn apply(&self, version: u32, host: &str) {
        self.feed().apply(Event::Apply(ingress(version, host)));
    }

    async fn next(&mut self) -> Arc<Reconciled> {
        self.published.changed().await.unwrap();
        self.published.borrow_and_update().clone().unwrap()
    }

    /// After any number of pauses, what was published last.
    async fn settled(&mut self) -> Option<Arc<Reconciled>> {
        tokio::time::sleep(10 * PAUSE).await;
        self.published.borrow_and_update().clone()
    }
}

fn version(reconciled: &Reconciled) -> &str {
    &reconciled.versions[&web()]
}

fn web() -> ObjectRef {
    ObjectRef {
        kind: Kind::Ingress,
        namespace: "shop".into(),
        name: "web".into(),
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_published_before_the_source_was_read_completely() {
    let mut scenario = scenario();
    scenario.apply(1, "a.example");
    assert!(scenario.settled().await.is_none());
    scenario.sync();
    assert_eq!(scenario.next().await.generation, 1);
}

#[tokio::test(start_paused = true)]
async fn the_first_change_after_a_quiet_time_is_published_at_once() {
    let mut scenario = scenario();
    scenario.sync();
    scenario.settled().await;
    let before = Instant::now();
    scenario.apply(2, "a.example");
    assert_eq!(version(&*scenario.next().await), "2");
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_changes_is_published_every_50_ms_and_its_last_one_is_not_lost() {
    let mut scenario = scenario();
    scenario.sync();
    scenario.settled().await;
    let started = Instant::now();
    let (mut publications, mut last) = (0, String::new());
    for number in 1..=1000 {
        scenario.apply(number, &format!("h{number}.example"));
        tokio::time::sleep(Duration::from_millis(1)).await;
        if scenario.published.has_changed().unwrap() {
            publications += 1;
            last = version(&*scenario.next().await).to_owned();
        }
    }
    assert_eq!(started.elapsed(), Duration::from_secs(1));
    assert!((15..=21).contains(&publications), "{publications}");
    assert_ne!(last, "1000");
    let settled = scenario.settled().await.unwrap();
    assert_eq!(version(&settled), "1000");
    assert!(
        settled
            .snapshot
            .hosts
            .keys()
            .any(|host| host.to_string() == "h1000.example")
    );
}

#[tokio::test(start_paused = true)]
async fn an_equal_snapshot_stays_the_same_one_while_versions_go_out() {
    let mut scenario = scenario();
    scenario.sync();
    scenario.apply(1, "a.example");
    let first = scenario.settled().await.unwrap();
    scenario.apply(2, "a.example");
    let second = scenario.next().await;
    assert!(Arc::ptr_eq(&first.snapshot, &second.snapshot));
    assert_eq!(first.generation, second.generation);
    assert_eq!((version(&first), version(&second)), ("1", "2"));
    scenario.apply(3, "b.example");
    let third = scenario.next().await;
    assert_eq!(third.generation, second.generation + 1);
    assert_ne!(third.snapshot, second.snapshot);
}

#[tokio::test(start_paused = true)]
async fn a_status_that_comes_back_is_published_as_a_version_and_nothing_else() {
    let mut scenario = scenario();
    scenario.sync();
    scenario.apply(1, "a.example");
    let before = scenario.settled().await.unwrap();
    let mut written = ingress(2, "a.example").0.unwrap();
    written.status = Some(IngressStatus::default());
    let event = Event::Apply(DeserializeGuard(Ok(written)));
    scenario.feed().apply(event);
    let after = scenario.next().await;
    assert_eq!((version(&before), version(&after)), ("1", "2"));
    assert!(Arc::ptr_eq(&before.snapshot, &after.snapshot));
    assert_eq!(before.generation, after.generation);
    assert_eq!(before.findings, after.findings);
    assert!(!after.findings.is_empty() && after.ingresses == [web()]);
}

#[tokio::test(start_paused = true)]
async fn an_object_that_breaks_is_served_in_its_last_good_form_and_reported() {
    let mut scenario = scenario();
    scenario.sync();
    scenario.apply(1, "a.example");
    let good = scenario.settled().await.unwrap();
    let broken = object::<Ingress>("shop", "web", 2, json!({"rules": 7}));
    assert!(broken.0.is_err());
    scenario.feed().apply(Event::Apply(broken));
    let now = scenario.next().await;
    assert_eq!(now.snapshot, good.snapshot);
    assert_eq!(version(&now), "2");
    let about: Vec<_> = now
        .findings
        .iter()
        .filter(|finding| finding.code == Code::InvalidObject)
        .collect();
    assert_eq!(about.len(), 1);
    assert_eq!(about[0].object, Some(web()));
}

#[tokio::test(start_paused = true)]
async fn a_deleted_object_is_neither_served_nor_known() {
    let mut scenario = scenario();
    scenario.sync();
    scenario.apply(1, "a.example");
    assert_eq!(scenario.settled().await.unwrap().ingresses, [web()]);
    scenario
        .feed()
        .apply(Event::Delete(ingress(2, "a.example")));
    let now = scenario.next().await;
    assert!(now.snapshot.hosts.is_empty() && now.ingresses.is_empty());
    assert!(!now.versions.contains_key(&web()));
}

#[tokio::test(start_paused = true)]
async fn it_ends_when_nobody_listens_or_nothing_feeds_it() {
    let listening = scenario();
    drop(listening.published);
    listening.running.await.unwrap();

    let mut fed = scenario();
    fed.feed = None;
    fed.running.await.unwrap();
}

#[tokio::test]
async fn findings_of_objects_from_files_have_their_positions() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("web.json");
    let manifest = serde_json::to_string(&ingress(1, "a.example").0.unwrap()).unwrap();
    std::fs::write(&file, format!("\n\n{manifest}")).unwrap();
    let (_directory, source) = crate::stores::directory::Directory::open(directory.path()).unwrap();
    let (publish, mut published) = watch::channel(None);
    let settings = Settings {
        origin: crate::translate::Origin::Directory,
        ..Settings::default()
    };
    tokio::spawn(run(source, settings, publish));
    let reconciled = published
        .wait_for(Option::is_some)
        .await
        .unwrap()
        .clone()
        .unwrap();
    let finding = reconciled
        .findings
        .iter()
        .find(|finding| finding.code == Code::ServiceNotFound);
    let position = finding.unwrap().position.clone().unwrap();
    assert_eq!((position.file, position.line), (file, 3));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_the_timing_the_last_state_is_published_and_never_two_within_50_ms(
        changes in prop::collection::vec((0_u64..120, 0_u8..3), 1..30),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut scenario = scenario();
            scenario.sync();
            scenario.settled().await;
            let mut watcher = scenario.published.clone();
            let times = tokio::spawn(async move {
                let mut times = Vec::new();
                while watcher.changed().await.is_ok() {
                    times.push(Instant::now());
                }
                times
            });
            for (index, (wait, host)) in (1..).zip(&changes) {
                tokio::time::sleep(Duration::from_millis(*wait)).await;
                scenario.apply(index, &format!("h{host}.example"));
            }
            let settled = scenario.settled().await.unwrap();
            assert_eq!(version(&settled), changes.len().to_string());
            let host = format!("h{}.example", changes.last().unwrap().1);
            assert!(settled.snapshot.hosts.keys().any(|known| known.to_string() == host));
            scenario.feed = None;
            scenario.running.await.unwrap();
            let times = times.await.unwrap();
            assert!(!times.is_empty());
            for pair in times.windows(2) {
                assert!(pair[1] - pair[0] >= PAUSE, "{:?}", pair[1] - pair[0]);
            }
        });
    }
}
