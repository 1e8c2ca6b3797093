//! A generated corpus of Ingresses, Services and EndpointSlices: the API server and the functions refuse
//! the same ones, for the same fields.

use std::fmt::Debug;

use bywash::api::builtin;
use bywash::api::validation::Violation;
use futures::StreamExt;
use futures::stream::iter;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{AT_ONCE, Refusal, chosen, refusal, seed};
use crate::tenant::Tenant;

mod services;
mod slices;

trials![
    the_server_and_the_functions_decide_alike_about_ingresses,
    the_server_and_the_functions_decide_alike_about_services,
    the_server_and_the_functions_decide_alike_about_endpoint_slices,
];

/// Having said so, the server looks no further: at the rest of a path, at other hints, at a Service for
/// which it can allocate nothing.
const STOPS: [&str; 5] = [
    "pathType must be specified",
    "Too many",
    "clusterIP",
    "ipFamil",
    "already allocated",
];

/// Objects of each kind, where nobody says otherwise.
const SIZE: u64 = 2000;

/// As much as all annotations together may hold.
pub(super) const LONG: usize = 256 * 1024;

async fn the_server_and_the_functions_decide_alike_about_ingresses() {
    let path = "/apis/networking.k8s.io/v1/namespaces/{}/ingresses";
    decide_alike(path, Generator::ingress, builtin::ingress).await;
}

async fn the_server_and_the_functions_decide_alike_about_services() {
    let path = "/api/v1/namespaces/{}/services";
    decide_alike(path, Generator::service, builtin::service).await;
}

async fn the_server_and_the_functions_decide_alike_about_endpoint_slices() {
    let path = "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices";
    decide_alike(path, Generator::slice, builtin::endpoint_slice).await;
}

async fn decide_alike<K: DeserializeOwned + Debug>(
    path: &str,
    make: fn(&mut Generator) -> Value,
    rules: fn(&K) -> Vec<Violation>,
) {
    let seed = seed();
    let size = chosen("CORPUS_SIZE").unwrap_or(SIZE);
    println!("CORPUS_SEED={seed} repeats this corpus of {size}");
    let shop = Tenant::new().await;
    let path = path.replace("{}", &shop.name);
    let mut generator = Generator::new(seed, 0.0);
    let corpus: Vec<Value> = (0..size)
        .map(|_| {
            generator.spoilt = *[0.0, 0.02, 0.05, 0.3]
                .choose(&mut generator.random)
                .unwrap();
            make(&mut generator)
        })
        .collect();
    let asked = iter(&corpus).map(|object| refusal(&shop.client, &path, object));
    let answers: Vec<Option<Refusal>> = asked.buffered(AT_ONCE).collect().await;
    let mut differing = Vec::new();
    for (object, refusal) in corpus.iter().zip(&answers) {
        let here = rules(&serde_json::from_value(object.clone()).unwrap());
        if !are_alike(refusal.as_ref(), &here) {
            let here: Vec<String> = here.iter().map(ToString::to_string).collect();
            let object = object.to_string().replace(&"y".repeat(LONG), "…");
            differing.push(format!("{object}\n  server: {refusal:?}\n  here: {here:?}"));
        }
    }
    let refused = answers.iter().flatten().count();
    println!("{refused} of {size} were refused");
    let some: Vec<String> = differing.iter().take(6).cloned().collect();
    assert!(
        differing.is_empty(),
        "seed {seed}: {} differ:\n{}",
        differing.len(),
        some.join("\n")
    );
    let taken = answers.len() - refused;
    assert!(
        refused * 5 > answers.len() && taken * 5 > answers.len(),
        "{refused} of {size} refused"
    );
}

/// Whether both refuse an object for the same fields, or neither does.
fn are_alike(refusal: Option<&Refusal>, here: &[Violation]) -> bool {
    let Some(refusal) = refusal else {
        return here.is_empty();
    };
    let here: Vec<String> = here.iter().map(|it| field(&it.pointer)).collect();
    // One names an item of a list, or a key, where the other names the whole.
    let related = |one: &str, other: &str| one.starts_with(other) || other.starts_with(one);
    let there: Vec<String> = refusal.fields.iter().map(|it| spelt(it)).collect();
    let said_here = there.iter().all(|one| {
        // A target that is not written is the port itself.
        let filled_in = one.replace(".targetport", ".port");
        here.iter()
            .any(|other| related(one, other) || *other == filled_in)
    });
    let stops = STOPS.iter().any(|it| refusal.message.contains(it));
    let said_there = here
        .iter()
        .all(|one| there.iter().any(|other| related(one, other)));
    !here.is_empty() && said_here && (said_there || stops)
}

/// A JSON pointer as the server writes fields, in the spelling of [`spelt`].
fn field(pointer: &str) -> String {
    let mut field = String::new();
    for step in pointer.split('/').skip(1) {
        match step.parse::<usize>() {
            Ok(index) => field.push_str(&format!("[{index}]")),
            Err(_) => field.push_str(&format!(".{step}")),
        }
    }
    spelt(field.replace("~1", "/").trim_start_matches('.'))
}

/// The server spells `spec.LoadBalancerSourceRanges` so, leaves `metadata` out before some annotations,
/// and writes others in brackets.
fn spelt(field: &str) -> String {
    let field = field.to_lowercase().replace("annotations[", "annotations.");
    field
        .trim_start_matches("metadata.")
        .replace("].", ".")
        .replace(']', "")
        .replace('[', ".")
}

pub(super) struct Generator {
    random: StdRng,
    /// How likely a value is one that cannot be right.
    spoilt: f64,
}

impl Generator {
    pub(super) fn new(seed: u64, spoilt: f64) -> Self {
        Self {
            random: StdRng::seed_from_u64(seed),
            spoilt,
        }
    }

    /// One of those that can be right, or of those that cannot.
    fn one(&mut self, right: &[Value], wrong: &[Value]) -> Value {
        let is_spoilt = !wrong.is_empty() && self.random.random_bool(self.spoilt);
        let some = if is_spoilt { wrong } else { right };
        some.choose(&mut self.random).unwrap().clone()
    }

    fn often(&mut self, share: f64) -> bool {
        self.random.random_bool(share)
    }

    /// A list of a few.
    fn some(&mut self, counts: &[usize], mut make: impl FnMut(&mut Self) -> Value) -> Value {
        let count = *counts.choose(&mut self.random).unwrap();
        (0..count).map(|_| make(self)).collect()
    }

    pub(super) fn metadata(&mut self, annotations: &[Value]) -> Value {
        let name = self.one(
            &[json!("generated"), json!("a"), json!("web-2")],
            &[
                json!("Web"),
                json!("-a"),
                json!("a_b"),
                json!("a".repeat(254)),
                json!("a..b"),
            ],
        );
        let labels = self.one(
            &[
                Value::Null,
                json!({"app": "web", "shop.example/app": "", "X_y.z": "A_b.c-1"}),
            ],
            &[
                json!({"a b": "x"}),
                json!({"app": "a b"}),
                json!({"/x": "1"}),
                json!({"a/b/c": "1"}),
                json!({"Shop.Example/x": "1"}),
                json!({"app": "a".repeat(64)}),
                json!({"app": "-"}),
            ],
        );
        let wrong = [
            json!({"": "x"}),
            json!({"a b": "x"}),
            json!({"-a": "x"}),
            json!({"x": "y".repeat(LONG)}),
        ];
        let right = [Value::Null, json!({"Shop.Example/X": "a b"})];
        let right = [&right[..], annotations].concat();
        let annotations = self.one(&right, &wrong);
        json!({"name": name, "labels": labels, "annotations": annotations})
    }

    fn ingress(&mut self) -> Value {
        let class = "kubernetes.io/ingress.class";
        let annotations = [json!({class: "bywash"}), json!({class: "By_wash"})];
        let count = if self.often(self.spoilt) { 0 } else { 1 };
        let shown = if self.often(0.1) { 2 } else { 0 };
        json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": self.metadata(&annotations[..shown]),
            "spec": {
                "ingressClassName": self.one(
                    &[Value::Null, json!("bywash"), json!("other.class")],
                    &[json!(""), json!("By_wash"), json!("other")],
                ),
                "defaultBackend": if self.often(0.2) { self.backend() } else { Value::Null },
                "rules": self.some(&[count, 1, 2], Self::rule),
                "tls": self.some(&[0, 1], Self::tls),
            },
        })
    }

    fn rule(&mut self) -> Value {
        let host = self.host();
        let host = if self.often(0.1) { Value::Null } else { host };
        let paths = self.some(&[1, 1, 2], Self::path);
        let http = self.one(
            &[
                Value::Null,
                json!({"paths": paths}),
                json!({"paths": paths}),
            ],
            &[json!({}), json!({"paths": []})],
        );
        json!({"host": host, "http": http})
    }

    fn host(&mut self) -> Value {
        let right = [
            "shop.example",
            "*.shop.example",
            "shop",
            "1.2.3",
            "256.1.1.1",
            "xn--bcher-kva.example",
            "0.shop-1.example",
        ];
        let long = [format!("{}.example", "a".repeat(64)), "a.".repeat(127)];
        let wrong = [
            "Shop.example",
            "*",
            "*.",
            "*.*.a",
            "a.*.b",
            "*shop.example",
            "192.0.2.7",
            "010.0.0.1",
            "0.0.0.000",
            "fd00::7",
            "shop.example.",
            "shop.example:80",
            "-a.example",
            "a-.example",
            "a_b.example",
            "a..b",
            "ü.example",
            &long[1],
        ];
        let right = [&right[..], &[&long[0]]].concat();
        self.one(&right.map_json(), &wrong.map_json())
    }

    fn path(&mut self) -> Value {
        let right = [
            "/", "/a", "/a b", "/a?b", "/é", "/a/", "/.a", "/%zz", "/a/..b",
        ];
        let wrong = [
            "", "a", "/a//b", "/a/./b", "/a/../b", "/a%2fb", "/a%2F", "/a/..", "/a/.", "//", "*",
            "a%2f/..",
        ];
        let kinds = ["Exact", "Prefix", "ImplementationSpecific"];
        let kind = self.one(
            &kinds.map_json(),
            &[Value::Null, json!(""), json!("prefix")],
        );
        let path = self.one(&right.map_json(), &wrong.map_json());
        json!({"path": path, "pathType": kind, "backend": self.backend()})
    }

    fn backend(&mut self) -> Value {
        let name = self.one(
            &[json!("web"), json!("1"), json!("a".repeat(63))],
            &[
                json!(""),
                json!("Web"),
                json!("a.b"),
                json!("a".repeat(64)),
                Value::Null,
            ],
        );
        let port = self.one(
            &[
                json!({"number": 80}),
                json!({"number": 65_535}),
                json!({"name": "http"}),
                json!({"name": "h2", "number": 0}),
                json!({"name": "", "number": 1}),
            ],
            &[
                json!({"number": 0}),
                json!({"number": 65_536}),
                json!({"number": -1}),
                json!({"name": "http", "number": 80}),
                json!({"name": "http", "number": -1}),
                json!({}),
                Value::Null,
                json!({"name": "80"}),
                json!({"name": "a--b"}),
                json!({"name": "-a"}),
                json!({"name": "a_b"}),
                json!({"name": "Http"}),
                json!({"name": "a".repeat(16)}),
            ],
        );
        let service = json!({"name": name, "port": port});
        let resource = json!({
            "apiGroup": self.one(&[Value::Null, json!("shop.example")], &[json!(""), json!("Shop")]),
            "kind": self.one(&[json!("Bucket"), json!("a b")], &[json!(""), json!("a/b"), json!(".")]),
            "name": self.one(&[json!("static")], &[json!(""), json!("a%b"), json!(".."), Value::Null]),
        });
        let (service, both) = (
            json!({"service": service}),
            json!({"service": service, "resource": resource}),
        );
        let right = [
            service.clone(),
            service.clone(),
            service,
            json!({"resource": resource}),
        ];
        self.one(&right, &[json!({}), Value::Null, both])
    }

    fn tls(&mut self) -> Value {
        let hosts = self.some(&[0, 1, 2], |it| match it.often(0.2) {
            true => it.one(&[json!("192.0.2.7")], &[json!("")]),
            false => match it.host() {
                // These are taken here: only hosts of rules must not be addresses.
                Value::String(host) if host.contains("0.0") => json!("shop.example"),
                host => host,
            },
        });
        let secret = self.one(
            &[Value::Null, json!(""), json!("tls"), json!("a.b")],
            &[json!("Tls"), json!("a_b"), json!("shop/tls")],
        );
        json!({"hosts": hosts, "secretName": secret})
    }
}

/// Texts as JSON.
trait Texts {
    fn map_json(&self) -> Vec<Value>;
}

impl<const N: usize> Texts for [&str; N] {
    fn map_json(&self) -> Vec<Value> {
        self.iter().map(|text| json!(text)).collect()
    }
}

impl Texts for Vec<&str> {
    fn map_json(&self) -> Vec<Value> {
        self.iter().map(|text| json!(text)).collect()
    }
}
