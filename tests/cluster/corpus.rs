//! A generated corpus of policies, right and wrong: the API server and the functions decide alike.
//!
//! Policies are made from the schema of the definition, so that a field that is added is tested with
//! no word here; each is then spoilt in up to two places. `make corpus` tries others, whose seeds it
//! prints for `CORPUS_SEED`.

use bywash::api::builtin::policy_metadata;
use bywash::api::crd;
use bywash::api::validation::Rulebook;
use futures::StreamExt;
use futures::stream::iter;
use http::Request;
use kube::Client;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Map, Value, json};

use crate::tenant::Tenant;
use builtin::LONG;

pub(crate) mod builtin;

trials![the_server_and_the_functions_decide_alike_about_generated_policies];

/// Policies, where nobody says otherwise.
const SIZE: usize = 3000;

/// Of the corpus, where nobody says otherwise.
const SEED: u64 = 1;

/// Questions that the server is asked at the same time.
const AT_ONCE: usize = 16;

async fn the_server_and_the_functions_decide_alike_about_generated_policies() {
    let seed = seed();
    let size = chosen("CORPUS_SIZE").unwrap_or(SIZE as u64);
    println!("CORPUS_SEED={seed} repeats this corpus of {size}");
    let shop = Tenant::new().await;
    let rulebook = Rulebook::new().unwrap();
    let mut generator = Generator::new(seed);
    let corpus: Vec<Value> = (0..size).map(|_| generator.policy(&shop.name)).collect();

    let path = format!(
        "/apis/bywash.dev/v1alpha1/namespaces/{}/gatewaypolicies",
        shop.name
    );
    let asked = iter(&corpus).map(|policy| refusal(&shop.client, &path, policy));
    let answers: Vec<Option<Refusal>> = asked.buffered(AT_ONCE).collect().await;
    let mut differing = Vec::new();
    for (policy, refusal) in corpus.iter().zip(&answers) {
        let metadata = serde_json::from_value(policy["metadata"].clone()).unwrap();
        let mut violations = rulebook.violations(policy);
        violations.extend(policy_metadata(&metadata));
        if violations.is_empty() != refusal.is_none() {
            let policy = policy.to_string().replace(&"y".repeat(LONG), "…");
            differing.push(format!(
                "{policy}\n  server: {refusal:?}\n  here: {violations:?}"
            ));
        }
    }
    let refused = answers.iter().flatten().count();
    println!("{refused} of {size} were refused");
    assert!(
        differing.is_empty(),
        "seed {seed}: {} differ:\n{}",
        differing.len(),
        differing
            .iter()
            .take(8)
            .cloned()
            .collect::<Vec<_>>()
            .join("\n")
    );
    let taken = answers.len() - refused;
    assert!(
        refused * 4 > answers.len() && taken * 4 > answers.len(),
        "{refused} of {size} refused"
    );
}

/// Two that decide alike about one corpus may differ about another, which is no fault of whoever changes
/// something else: each run is of the same one, unless asked otherwise.
fn seed() -> u64 {
    match std::env::var("CORPUS_SEED") {
        Ok(text) if text == "random" => rand::random(),
        _ => chosen("CORPUS_SEED").unwrap_or(SEED),
    }
}

fn chosen(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// Why the server would not take an object.
#[derive(Debug)]
pub(crate) struct Refusal {
    message: String,
    /// The fields that it names.
    fields: Vec<String>,
}

/// Why the server would not take an object, asked without storing it.
async fn refusal(client: &Client, path: &str, object: &Value) -> Option<Refusal> {
    let path = format!("{path}?dryRun=All&fieldValidation=Strict");
    let request = Request::post(path).header("content-type", "application/json");
    let request = request.body(serde_json::to_vec(object).unwrap()).unwrap();
    let status = match client.request_text(request).await {
        Ok(_) => return None,
        Err(kube::Error::Api(status)) if [400, 422].contains(&status.code) => status,
        Err(error) => panic!("{object}: {error}"),
    };
    let causes = status.details.iter().flat_map(|it| &it.causes);
    Some(Refusal {
        message: status.message.clone(),
        fields: causes.map(|it| it.field.clone()).collect(),
    })
}

struct Generator {
    random: StdRng,
    spec: Value,
    /// Makes what all kinds have.
    metadata: builtin::Generator,
    /// Whether values are what a careful author writes.
    careful: bool,
}

impl Generator {
    fn new(seed: u64) -> Self {
        let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";
        Self {
            random: StdRng::seed_from_u64(seed),
            spec: crd::definition().pointer(spec).unwrap().clone(),
            metadata: builtin::Generator::new(seed, 0.03),
            careful: false,
        }
    }

    fn policy(&mut self, namespace: &str) -> Value {
        let schema = self.spec.clone();
        self.careful = self.random.random_bool(0.8);
        let mut spec = self.fitting("spec", &schema, 0.15);
        let spoilt = *[0, 0, 1, 2].choose(&mut self.random).unwrap();
        for _ in 0..spoilt {
            let mut places = Vec::new();
            collect(&spec, &mut String::new(), &mut places);
            let place = places.choose(&mut self.random).unwrap().clone();
            self.spoil(spec.pointer_mut(&place).unwrap());
        }
        let mut metadata = self.metadata.metadata(&[]);
        metadata["namespace"] = namespace.into();
        json!({
            "apiVersion": "bywash.dev/v1alpha1",
            "kind": "GatewayPolicy",
            "metadata": metadata,
            "spec": spec,
        })
    }

    /// A value that is of the form of a schema, mostly; each optional field is there this often.
    fn fitting(&mut self, name: &str, schema: &Value, often: f64) -> Value {
        let random = &mut self.random;
        if let Some(choices) = schema["enum"].as_array() {
            return choices.choose(random).unwrap().clone();
        }
        if schema["x-kubernetes-int-or-string"] == true {
            let fitting = [
                json!(1),
                json!(65_536),
                json!("64Ki"),
                json!("1Mi"),
                json!(0),
                json!("17Mi"),
            ];
            let some = if self.careful {
                &fitting[..4]
            } else {
                &fitting[..]
            };
            return some.choose(random).unwrap().clone();
        }
        match schema["type"].as_str().unwrap() {
            "object" => self.object(schema, often),
            "array" => {
                let most = schema["maxItems"].as_u64().unwrap();
                let few = self.random.random_range(0..4);
                let length = match self.careful {
                    true => few.min(1),
                    false => *[few, few, most, most + 1].choose(&mut self.random).unwrap(),
                };
                (0..length)
                    .map(|_| self.fitting(name, &schema["items"], 0.5))
                    .collect()
            }
            "integer" => {
                let [least, most] =
                    ["minimum", "maximum"].map(|it| schema[it].as_f64().map_or(0, |it| it as i64));
                let within = random.random_range(least..=most);
                let some = [within, least, most, least - 1, most + 1];
                let some = if self.careful { &some[..3] } else { &some[..] };
                json!(some.choose(random).unwrap())
            }
            "boolean" => json!(random.random_bool(0.5)),
            "string" => json!(self.text(name, schema)),
            other => panic!("{other} in the schema"),
        }
    }

    fn object(&mut self, schema: &Value, often: f64) -> Value {
        let required = schema["required"].as_array();
        let mut fields = Map::new();
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let must = required.is_some_and(|it| it.iter().any(|it| it == name));
            if (must && self.careful) || self.random.random_bool(if must { 0.9 } else { often }) {
                fields.insert(name.clone(), self.fitting(name, property, 0.4));
            }
        }
        Value::Object(fields)
    }

    fn text(&mut self, name: &str, schema: &Value) -> String {
        const DURATIONS: [&str; 9] = [
            "1s", "2s", "5s", "10s", "60s", "0s", "1500ms", "1h30m", "99999h",
        ];
        const STATUSES: [&str; 5] = ["404", "502-504", "504-502", "200-399", "599-599"];
        const RETRIES: [&str; 6] = [
            "reset", "timeout", "http-503", "http-429", "http-404", "connect",
        ];
        const TEXTS: [&str; 10] = [
            "web",
            "",
            "/a?b",
            "/a b",
            "Shop.Example",
            "*",
            "Service",
            "192.0.2.7",
            "2001:db8::/32",
            "X-User_1.a",
        ];
        let random = &mut self.random;
        let pattern = schema["pattern"].as_str().unwrap_or_default();
        let (known, careful): (&[&str], usize) = match (pattern, name) {
            (it, _) if it.contains("ms)") => (&DURATIONS, 5),
            (it, _) if it.contains("reset") => (&RETRIES, 4),
            (it, _) if it.contains("[0-9][0-9]") => (&STATUSES, 2),
            (_, "group") => (&["networking.k8s.io", ""], 1),
            (_, "kind") => (&["Ingress", "Service", "Deployment"], 1),
            (_, "path") => (&["/health", "/", "health", "/a b", "/a?b"], 2),
            (_, "allow") => (&["192.0.2.0/24", "2001:db8::/32", "192.0.2.7", "x"], 2),
            _ => (&TEXTS, 1),
        };
        let known = if self.careful {
            &known[..careful]
        } else {
            known
        };
        if self.careful || random.random_bool(0.9) {
            return (*known.choose(random).unwrap()).to_owned();
        }
        let most = schema["maxLength"].as_u64().unwrap() as usize;
        let letter = *["a", "ä", "1"].choose(random).unwrap();
        letter.repeat(most + random.random_range(0..2))
    }

    /// Something else in the place of a value.
    fn spoil(&mut self, value: &mut Value) {
        let random = &mut self.random;
        if let Value::Object(fields) = value
            && random.random_bool(0.7)
        {
            let name = *["atempts", "x-y/z~", "Timeouts", "name", "path"]
                .choose(random)
                .unwrap();
            let other = fields.values().next().cloned().unwrap_or(json!("x"));
            fields.insert(name.to_owned(), other);
            return;
        }
        if let Value::Array(items) = value
            && let Some(first) = items.first().cloned()
            && random.random_bool(0.7)
        {
            items.push(first);
            return;
        }
        let others = [
            Value::Null,
            json!(true),
            json!(3),
            json!(-1),
            json!(2.5),
            json!(3.0),
            json!(1_u64 << 40),
            json!("x"),
            json!(""),
            json!("10 s"),
            json!([]),
            json!([null]),
            json!([1, 1]),
            json!({}),
            json!({"path": null}),
        ];
        *value = others.choose(random).unwrap().clone();
    }
}

/// Pointers to a value and to all in it.
fn collect(value: &Value, pointer: &mut String, places: &mut Vec<String>) {
    places.push(pointer.clone());
    let before = pointer.len();
    let steps: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, it)| (name.replace('~', "~0").replace('/', "~1"), it))
            .collect(),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(index, it)| (index.to_string(), it))
            .collect(),
        _ => Vec::new(),
    };
    for (step, value) in steps {
        pointer.push('/');
        pointer.push_str(&step);
        collect(value, pointer, places);
        pointer.truncate(before);
    }
}
