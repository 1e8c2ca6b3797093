//! Services that an API server takes, and others.
//!
//! What the server decides by its own configuration is not asked about: addresses are in its ranges,
//! node ports too, and two families are only written where that is wrong in any case.

use serde_json::{Map, Value, json};

use super::{Generator, Texts};

impl Generator {
    pub(super) fn service(&mut self) -> Value {
        let kinds = [
            "ClusterIP",
            "ClusterIP",
            "NodePort",
            "LoadBalancer",
            "ExternalName",
        ];
        let kind = self.one(&kinds.map_json(), &[json!("Clusterip"), json!("clusterIP")]);
        let kind = if self.often(0.2) { Value::Null } else { kind };
        let annotations = [
            json!({"service.kubernetes.io/topology-mode": "Auto",
                "service.kubernetes.io/topology-aware-hints": "Auto"}),
            json!({"service.kubernetes.io/topology-mode": "Auto",
                "service.kubernetes.io/topology-aware-hints": "auto"}),
            json!({"service.beta.kubernetes.io/load-balancer-source-ranges": "192.0.2.0/24, 10.0.0.0/8"}),
            json!({"service.beta.kubernetes.io/load-balancer-source-ranges": "192.0.2.0/24,x"}),
            json!({"service.beta.kubernetes.io/load-balancer-source-ranges": " "}),
        ];
        let shown = if self.often(0.05) {
            &annotations[..]
        } else {
            &[]
        };
        let metadata = self.metadata(shown);
        let mut spec = self.fields(kind.as_str().unwrap_or("ClusterIP"));
        spec.insert("type".to_owned(), kind);
        let none = if self.often(self.spoilt) { 0 } else { 1 };
        let ports = self.some(&[none, 1, 1, 2, 3], Self::port);
        spec.insert("ports".to_owned(), ports);
        json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
    }

    /// All but type and ports.
    fn fields(&mut self, kind: &str) -> Map<String, Value> {
        let mut fields = Map::new();
        // Many go only with one type: each is there now and then.
        for (name, right, wrong) in fields_of(kind) {
            let is_needed = name == "externalName" && kind == "ExternalName";
            if is_needed || self.often(0.12) {
                fields.insert(name.to_owned(), self.one(&right, &wrong));
            }
        }
        fields
    }

    fn port(&mut self) -> Value {
        let names = ["http", "https", "metrics", "8080", "grpc-1", "a--b"];
        let name = self.one(
            &names.map_json(),
            &[json!("Http"), json!(""), json!("a".repeat(64))],
        );
        let target = [json!(8080), json!("http"), json!(0), json!(""), Value::Null];
        let wrong = [
            json!(-1),
            json!(65_536),
            json!("8080"),
            json!("a--b"),
            json!("a".repeat(16)),
        ];
        json!({
            "name": name,
            "port": self.one(&[json!(80), json!(443), json!(1), json!(65_535)], &[
                json!(0), json!(-1), json!(65_536), Value::Null,
            ]),
            "targetPort": self.one(&target, &wrong),
            "protocol": self.one(&[Value::Null, json!("TCP"), json!("UDP"), json!("")], &[json!("tcp")]),
            "appProtocol": self.one(&[Value::Null, json!("http"), json!("kubernetes.io/ws")], &[
                json!(""), json!("a b"),
            ]),
            // Of those that are never given to who asks for none, so that no other test has it.
            "nodePort": self.one(&[Value::Null, json!(0)], &[json!(30_010)]),
        })
    }
}

type Field = (&'static str, Vec<Value>, Vec<Value>);

fn fields_of(kind: &str) -> Vec<Field> {
    [of_any_type(), of_traffic(kind), of_balancers(kind)].concat()
}

fn of_any_type() -> Vec<Field> {
    let names = vec![json!("shop.example"), json!("shop.example.")];
    let odd_names = ["Shop.example", "", ".", "a b"];
    let several = [
        json!(["IPV4"]),
        json!(["IPv4", "IPv4"]),
        json!(["IPv4", "IPv6"]),
    ];
    let timeout = |seconds: u32| json!({"clientIP": {"timeoutSeconds": seconds}});
    let external = [
        "127.0.0.1",
        "x",
        "010.0.0.1",
        "192.0.2.7",
        "::ffff:192.0.2.7",
        "fe80::1",
    ];
    vec![
        ("externalName", names, odd_names.map_json()),
        (
            "clusterIP",
            vec![json!("")],
            ["x", "010.0.0.1", "None"].map_json(),
        ),
        (
            "clusterIPs",
            vec![json!([])],
            vec![
                json!(["None", "None"]),
                json!(["x"]),
                json!(["10.0.0.7"]),
                json!(["None"]),
            ],
        ),
        (
            "selector",
            vec![json!({"app": "web"}), json!({})],
            vec![json!({"a b": "x"}), json!({"app": "a b"})],
        ),
        (
            "sessionAffinity",
            ["None", "ClientIP", ""].map_json(),
            vec![json!("clientIP")],
        ),
        (
            "sessionAffinityConfig",
            vec![timeout(60), json!({})],
            vec![timeout(0), timeout(86_401)],
        ),
        (
            "externalIPs",
            vec![json!([])],
            external.map(|it| json!([it])).to_vec(),
        ),
        ("ipFamilies", vec![json!([])], several.to_vec()),
        (
            "ipFamilyPolicy",
            vec![Value::Null],
            ["SingleStack", "Dual"].map_json(),
        ),
    ]
}

fn of_traffic(kind: &str) -> Vec<Field> {
    let all = ["", "Cluster", "Local"];
    let is_external = matches!(kind, "LoadBalancer" | "NodePort");
    let external = if is_external {
        all.map_json()
    } else {
        [""].map_json()
    };
    vec![
        (
            "externalTrafficPolicy",
            external,
            ["local", "Local"].map_json(),
        ),
        ("healthCheckNodePort", vec![json!(0)], vec![json!(30_005)]),
        (
            "internalTrafficPolicy",
            ["Cluster", "Local"].map_json(),
            vec![json!("None")],
        ),
        (
            "trafficDistribution",
            ["PreferClose", "PreferSameNode"].map_json(),
            ["prefer-close", ""].map_json(),
        ),
    ]
}

/// What only one type may have.
fn of_balancers(kind: &str) -> Vec<Field> {
    let only = |right: Vec<Value>, wrong: Vec<Value>| match kind {
        "LoadBalancer" => (right, wrong),
        _ => (vec![Value::Null], [right, wrong].concat()),
    };
    let class = only(["shop.example/lb", "lb"].map_json(), ["a b", ""].map_json());
    let allocate = only(vec![json!(true), json!(false)], Vec::new());
    let odd = [
        "192.0.2.1/24",
        "192.0.2.7",
        "010.0.0.0/8",
        "10.0.0.0/08",
        "10.0.0.0/33",
    ];
    let ranges = only(
        vec![json!(["192.0.2.0/24", " 2001:db8::/32 ", "0.0.0.0/0"])],
        odd.map(|it| json!([it])).to_vec(),
    );
    vec![
        ("loadBalancerClass", class.0, class.1),
        ("allocateLoadBalancerNodePorts", allocate.0, allocate.1),
        ("loadBalancerSourceRanges", ranges.0, ranges.1),
    ]
}
