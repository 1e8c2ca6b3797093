use http::StatusCode;
use kube::Config;

use super::*;

#[expect(dead_code, reason = "the election needs a part of it")]
#[path = "../stores/fake_api.rs"]
#[expect(clippy::duplicate_mod, reason = "the election knows no other module")]
mod fake_api;

use fake_api::FakeApi;

struct Replica {
    leading: watch::Receiver<bool>,
    shutdown: watch::Sender<bool>,
    running: tokio::task::JoinHandle<()>,
}

fn replica(config: Config, identity: &str) -> Replica {
    let (leading, receiver) = watch::channel(false);
    let (shutdown, ending) = watch::channel(false);
    let settings = Settings {
        duration: Duration::from_secs(3),
        grace: Duration::from_secs(2),
        ..Settings::new("lease".into(), "ns".into(), identity.into())
    };
    let client = Client::try_from(config).unwrap();
    Replica {
        leading: receiver,
        shutdown,
        running: tokio::spawn(run(client, settings, leading, ending)),
    }
}

impl Replica {
    /// Waits until it leads, or no longer does; far longer than that takes.
    async fn until(&mut self, leads: bool) {
        let waiting = self.leading.wait_for(|now| *now == leads);
        tokio::time::timeout(Duration::from_secs(60), waiting)
            .await
            .unwrap()
            .unwrap();
    }

    async fn end(self) {
        self.shutdown.send_replace(true);
        self.running.await.unwrap();
        assert!(!*self.leading.borrow());
    }
}

#[tokio::test]
async fn one_of_two_leads_and_the_other_follows_when_it_ends() {
    let mut api = FakeApi::start().await;
    let mut first = replica(api.config(), "first");
    first.until(true).await;
    let mut second = replica(api.config(), "second");
    // Renewals of the first and looks of the second.
    for _ in 0..20 {
        api.next().await;
    }
    assert!(*first.leading.borrow() && !*second.leading.borrow());
    first.end().await;
    second.until(true).await;
    second.end().await;
}

#[tokio::test]
async fn a_replica_that_loses_the_api_server_does_not_lead_until_it_is_back() {
    let api = FakeApi::start().await;
    let mut only = replica(api.config(), "only");
    only.until(true).await;
    api.refuse("/leases", StatusCode::INTERNAL_SERVER_ERROR);
    only.until(false).await;
    api.refuse_nothing();
    only.until(true).await;
    only.end().await;
}

#[test]
fn a_field_manager_has_at_most_128_bytes_and_keeps_the_end_of_the_name() {
    let manager = field_manager(&format!("{}-abc12", "ä".repeat(300)));
    assert!(
        manager.len() <= 128 && manager.ends_with("-abc12"),
        "{manager}"
    );
    assert_eq!(field_manager("bywash-0"), "bywash-lease-bywash-0");
}
