//! `bywash check` beside a cluster: the real program, with the rights of a user.

use std::fs;
use std::path::Path;
use std::process::Command;

use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams};
use serde_json::{Value, json};

use crate::control_plane::{ROLE, User};
use crate::objects::{ingress, object, service};
use crate::policy::{for_ingress, policy};
use crate::process;
use crate::tenant::Tenant;

pub(crate) mod health;

trials![
    what_would_change_in_a_cluster_is_told_and_nothing_is_changed,
    files_without_a_namespace_are_where_kubectl_would_apply_them,
    for_one_namespace_no_class_is_read_and_nothing_of_others,
    who_may_not_read_the_cluster_is_told_what_is_missing,
];

/// The exit code, what was said, and what was complained of.
pub(crate) fn check(shop: &Tenant, user: User, words: &[&str]) -> (Option<i32>, String, String) {
    process::said_by(
        Command::new(env!("CARGO_BIN_EXE_bywash"))
            .env_clear()
            .arg("check")
            .arg(format!("--kubeconfig={}", shop.kubeconfig(user).display()))
            .arg(format!("--ingress-class={}", shop.name))
            .arg(format!("--controller-name={}", shop.controller_name()))
            .args(words),
    )
}

fn write(file: &Path, kind: &str, version: &str, object: Value) {
    let mut object = object;
    object["kind"] = kind.into();
    object["apiVersion"] = version.into();
    fs::write(file, object.to_string()).unwrap();
}

async fn what_would_change_in_a_cluster_is_told_and_nothing_is_changed() {
    let shop = Tenant::new().await;
    for name in ["web", "cart"] {
        shop.create(service(name)).await;
    }
    let stored = shop.ingress("web", "shop.example", "web").await;
    shop.ingress("stays", "stays.example", "web").await;
    let folder = tempfile::tempdir().unwrap();
    let changed = ingress(&shop.name, "web", "shop.example", "cart");
    write(
        &folder.path().join("web.json"),
        "Ingress",
        "networking.k8s.io/v1",
        serde_json::to_value(changed).unwrap(),
    );
    let retry = policy("web", for_ingress("web", json!({"retry": {"attempts": 5}})));
    write(
        &folder.path().join("policy.json"),
        "GatewayPolicy",
        "bywash.dev/v1alpha1",
        serde_json::to_value(retry).unwrap(),
    );
    let files = folder.path().display().to_string();
    let namespace = format!("--namespace={}", shop.name);
    let words = [
        files.as_str(),
        "--diff=cluster",
        &namespace,
        "--output=json",
    ];
    let (code, said, complaint) = check(&shop, User::Admin, &words);
    assert_eq!(code, Some(0), "{said}{complaint}");
    let json: Value = serde_json::from_str(&said).unwrap();
    let changes = json["changes"].as_array().unwrap();
    let sentences: Vec<&str> = changes
        .iter()
        .map(|it| it["sentence"].as_str().unwrap())
        .collect();
    let target = format!(
        "shop.example: Prefix / leads to {0}/cart:80, and no longer to {0}/web:80",
        shop.name
    );
    let policy = "shop.example: Prefix / gets retry attempts=5; it was attempts=3";
    assert_eq!(sentences, [target.as_str(), policy]);

    let now = shop.api::<Ingress>().get("web").await.unwrap();
    assert_eq!(now.resource_version(), stored.resource_version());
    let words = [files.as_str(), "--diff=cluster", &namespace, "--exit-code"];
    assert_eq!(check(&shop, User::Admin, &words).0, Some(1));
}

/// An Ingress in a file of its own, as it is written.
fn written(shop: &Tenant, target: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let changed = ingress(&shop.name, "web", "shop.example", target);
    write(
        &folder.path().join("web.json"),
        "Ingress",
        "networking.k8s.io/v1",
        serde_json::to_value(changed).unwrap(),
    );
    folder
}

async fn files_without_a_namespace_are_where_kubectl_would_apply_them() {
    let shop = Tenant::new().await;
    for name in ["web", "cart"] {
        shop.create(service(name)).await;
    }
    shop.ingress("web", "shop.example", "web").await;
    let folder = written(&shop, "cart");
    let config = fs::read_to_string(shop.kubeconfig(User::Admin)).unwrap();
    let mut config: Value = serde_json::from_str(&config).unwrap();
    config["contexts"][0]["context"]["namespace"] = shop.name.as_str().into();
    let file = folder.path().join(".kubeconfig");
    fs::write(&file, config.to_string()).unwrap();
    let target = format!(
        "shop.example: Prefix / leads to {0}/cart:80, and no longer to {0}/web:80",
        shop.name
    );
    let asked = |words: &[&str]| {
        process::said_by(
            Command::new(env!("CARGO_BIN_EXE_bywash"))
                .env_clear()
                .arg("check")
                .arg(folder.path())
                .arg("--diff=cluster")
                .arg(format!("--kubeconfig={}", file.display()))
                .arg(format!("--ingress-class={}", shop.name))
                .arg(format!("--controller-name={}", shop.controller_name()))
                .args(words),
        )
    };
    let (code, said, complaint) = asked(&[]);
    assert_eq!(code, Some(0), "{said}{complaint}");
    assert!(said.contains(&target), "{said}");
    // Said in words, it wins.
    let (_, said, _) = asked(&["--namespace=default"]);
    assert!(!said.contains(&target), "{said}");
}

async fn for_one_namespace_no_class_is_read_and_nothing_of_others() {
    let shop = Tenant::new().await;
    for name in ["web", "cart"] {
        shop.create(service(name)).await;
    }
    shop.ingress("web", "shop.example", "web").await;
    let folder = written(&shop, "cart");
    let files = folder.path().display().to_string();
    let classes: Api<IngressClass> = Api::all(shop.client.clone());
    let gone = classes.delete(&shop.name, &DeleteParams::default()).await;
    gone.unwrap();
    let watched = format!("--watch-namespace={}", shop.name);
    let namespace = format!("--namespace={}", shop.name);
    let words = [files.as_str(), "--diff=cluster", &namespace];
    let (_, said, _) = check(&shop, User::Admin, &words);
    assert!(said.contains("nothing changes"), "{said}");
    let (_, said, _) = check(&shop, User::Admin, &[&words[..], &[&watched]].concat());
    assert!(said.contains("leads to"), "{said}");

    let reads: RoleBinding = object(json!({
        "metadata": {"name": "bywash"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": ROLE},
        "subjects": [{"kind": "ServiceAccount", "name": "bywash", "namespace": shop.name}],
    }));
    shop.create(reads).await;
    shop.account_may_list(true).await;
    let controller = format!("--controller-namespace={}", shop.name);
    let (_, said, _) = check(&shop, User::Admin, &[&controller, &watched]);
    for line in [
        format!(
            "√ Ingresses of namespace {0} are served that name {0}",
            shop.name
        ),
        format!("√ the service account {}/bywash has the rights", shop.name),
        "× no address is published on 1 Ingress".to_owned(),
    ] {
        assert!(said.contains(&line), "{said}");
    }
}

async fn who_may_not_read_the_cluster_is_told_what_is_missing() {
    let shop = Tenant::new().await;
    let folder = tempfile::tempdir().unwrap();
    let web = ingress(&shop.name, "web", "shop.example", "web");
    write(
        &folder.path().join("web.json"),
        "Ingress",
        "networking.k8s.io/v1",
        serde_json::to_value(web).unwrap(),
    );
    let files = folder.path().display().to_string();
    let (code, _, complaint) = check(&shop, User::Stranger, &[&files, "--diff=cluster"]);
    assert_eq!(code, Some(2));
    assert!(
        complaint.contains("you may not list ingresses.networking.k8s.io"),
        "{complaint}"
    );
    let as_admin = [
        files.as_str(),
        "--diff=cluster",
        "--as=somebody",
        "--as-group=system:masters",
    ];
    let (code, said, complaint) = check(&shop, User::Admin, &as_admin);
    assert_eq!(code, Some(0), "{said}{complaint}");
}
