//! EndpointSlices that an API server takes, and others.

use serde_json::{Value, json};

use super::{Generator, Texts};

impl Generator {
    pub(super) fn slice(&mut self) -> Value {
        let kinds = ["IPv4", "IPv4", "IPv6", "FQDN"];
        let kind = self.one(&kinds.map_json(), &[json!(""), json!("ipv4"), Value::Null]);
        let endpoints = self.some(&[0, 1, 2], |it| it.endpoint(&kind));
        json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": self.metadata(&[]),
            "addressType": kind,
            "endpoints": endpoints,
            "ports": self.some(&[0, 1, 2], Self::endpoint_port),
        })
    }

    fn endpoint(&mut self, kind: &Value) -> Value {
        let v4 = ["192.0.2.7", "10.0.0.1", "239.1.2.3"];
        let v6 = ["2001:db8::7", "fd00::1", "::2", "2001:db8:0:1:1:1:1:1"];
        let names = ["cart.example", "cart.example.", "a.b.c"];
        let special = [
            "0.0.0.0",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.1.1",
            "224.0.0.7",
            "::",
            "::1",
            "fe80::1",
            "febf::1",
            "ff02::1",
            "ff12::1",
            "010.0.0.1",
            "::ffff:192.0.2.7",
            "FD00::1",
            "2001:db8:0:0::7",
            "fe80::1%eth0",
            "192.0.2",
            "cart",
            "Cart.example",
            "",
            " 192.0.2.7",
        ];
        let right = match kind.as_str() {
            Some("IPv6") => v6.map_json(),
            Some("FQDN") => names.map_json(),
            _ => v4.map_json(),
        };
        let wrong = [
            v4.map_json(),
            v6.map_json(),
            names.map_json(),
            special.map_json(),
        ]
        .concat();
        let few = [1, 1, 2, if self.often(self.spoilt) { 0 } else { 1 }];
        let many = [101];
        let counts = if self.often(self.spoilt / 5.0) {
            &many[..]
        } else {
            &few[..]
        };
        let addresses = self.some(counts, |it| it.one(&right, &wrong));
        let node = self.one(
            &[Value::Null, json!("node-1.example")],
            &[json!(""), json!("Node")],
        );
        let host = self.one(&[Value::Null, json!("cart-0")], &[json!(""), json!("a.b")]);
        let zone = |name: &str| json!({"name": name});
        let zones = self.one(
            &[
                Value::Null,
                json!([]),
                json!([zone("a"), zone("B_1")]),
                json!([zone("")]),
            ],
            &[
                json!([zone("a b")]),
                json!([zone("a"), zone("a")]),
                json!(vec![zone("a"); 9]),
            ],
        );
        let nodes = self.one(
            &[Value::Null, json!([zone("node-1")])],
            &[
                json!([zone("")]),
                json!([zone("n"), zone("n")]),
                json!(vec![zone("n"); 9]),
            ],
        );
        let hints = match self.often(0.3) {
            true => json!({"forZones": zones, "forNodes": nodes}),
            false => Value::Null,
        };
        json!({"addresses": addresses, "nodeName": node, "hostname": host, "hints": hints})
    }

    fn endpoint_port(&mut self) -> Value {
        let names = ["http", "https", "metrics", "8080", "grpc-1"];
        let name = self.one(
            &names.map_json(),
            &[json!("Http"), json!("a.b"), json!("a".repeat(64))],
        );
        let name = if self.often(0.2) { Value::Null } else { name };
        json!({
            "name": name,
            "port": self.one(&[Value::Null, json!(80), json!(0), json!(70_000)], &[]),
            "protocol": self.one(&[Value::Null, json!("TCP"), json!("UDP")], &[json!("tcp"), json!("")]),
            "appProtocol": self.one(
                &[Value::Null, json!("http"), json!("kubernetes.io/ws")],
                &[json!(""), json!("a b"), json!("/ws")],
            ),
        })
    }
}
