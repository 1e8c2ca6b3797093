//! From flags to settings.

use clap::Parser;
use clap::error::ErrorKind;

use super::addresses::PublishedAddress;
use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    serving: flags::ServingFlags,
    #[command(flatten)]
    cluster: flags::ClusterFlags,
}

fn parse(flags: &[&str]) -> Result<Line, clap::Error> {
    Line::try_parse_from([&["bywash"], flags].concat())
}

fn config(flags: &[&str]) -> Result<Config, Contradiction> {
    let defaults = ModeDefaults {
        drain_delay: Duration::from_secs(5),
        log_format: LogFormat::Json,
    };
    Config::resolve(parse(flags).unwrap().serving, defaults)
}

fn cluster(flags: &[&str]) -> Result<Cluster, Contradiction> {
    Cluster::resolve(parse(flags).unwrap().cluster, &config(flags)?.class)
}

#[test]
fn without_flags_it_is_what_the_documentation_says() {
    let config = config(&[]).unwrap();
    assert_eq!(config.listen.http.unwrap().port(), 8080);
    assert_eq!(config.listen.https.unwrap().port(), 8443);
    assert_eq!(config.listen.metrics.unwrap().port(), 9090);
    assert_eq!(config.listen.admin, Some("127.0.0.1:9091".parse().unwrap()));
    assert_eq!(config.clients.keepalive, Duration::from_secs(75));
    assert_eq!(config.clients.header_timeout, Duration::from_secs(10));
    assert_eq!(config.class.ingress_class, "bywash");
    assert_eq!(
        config.class.controller_name,
        "bywash.dev/ingress-controller"
    );
    assert_eq!(config.drain.delay, Duration::from_secs(5));
    assert_eq!(config.logs.access_log, AccessLogFormat::Json);
    assert_eq!(config.runtime, RuntimeKind::PerCore);
    assert!(!config.class.allow_external_name);
    let cluster = cluster(&[]).unwrap();
    assert_eq!(cluster.scope, Scope::Cluster { secrets: None });
    assert!(cluster.update_status && !cluster.instance.is_empty());
    let writes = (
        cluster.status_writes_per_second,
        cluster.status_writes_burst,
    );
    assert_eq!(writes, (20, 100));
}

#[test]
fn a_port_alone_means_all_interfaces_and_none_means_off() {
    let flags = [
        "--http-address=:0",
        "--https-address=none",
        "--metrics-address=127.0.0.1:0",
    ];
    let listen = config(&flags).unwrap().listen;
    assert!(listen.http.unwrap().ip().is_unspecified());
    assert_eq!(listen.https, None);
    assert_eq!(listen.metrics, Some("127.0.0.1:0".parse().unwrap()));
}

#[test]
fn the_debug_port_cannot_be_opened_to_others() {
    assert!(parse(&["--admin-address=0.0.0.0:9091"]).is_err());
    assert!(parse(&["--admin-address=[::1]:9091"]).is_ok());
    let listen = config(&["--admin-address=:7"]).unwrap().listen;
    assert_eq!(listen.admin, Some("127.0.0.1:7".parse().unwrap()));
}

#[test]
fn contradictions_are_told_in_a_sentence() {
    let nothing = config(&["--http-address=none", "--https-address=none"]);
    assert_eq!(nothing.unwrap_err(), Contradiction::NothingToServe);
    let same = config(&[
        "--http-address=127.0.0.1:80",
        "--metrics-address=127.0.0.1:80",
    ]);
    assert_eq!(
        same.unwrap_err().to_string(),
        "--http-address and --metrics-address are both 127.0.0.1:80; give each its own port"
    );
    assert!(config(&["--http-address=:0", "--metrics-address=:0"]).is_ok());
}

#[test]
fn one_namespace_is_read_with_what_its_class_would_say() {
    let flags = [
        "--watch-namespace=shop",
        "--class-policy=shop/defaults",
        "--default-class=true",
        "--default-tls-secret=shop/wildcard",
    ];
    let scope = cluster(&flags).unwrap().scope;
    assert_eq!((scope.namespace(), scope.secrets()), (Some("shop"), None));
    let Scope::Namespace {
        class_policy,
        default_class,
        ..
    } = scope
    else {
        panic!("{scope:?}");
    };
    assert!(default_class && class_policy.unwrap().name == "defaults");
    let listed = cluster(&["--secret-namespaces=shop,pay,shop"]).unwrap();
    let listed = listed.scope.secrets().unwrap().clone();
    assert!(listed.iter().eq(["pay", "shop"]));
}

#[test]
fn what_one_namespace_leaves_out_is_told_with_what_to_do() {
    let told = |flags: &[&str]| cluster(flags).unwrap_err().to_string();
    assert_eq!(
        told(&["--class-policy=shop/defaults"]),
        "--class-policy goes with --watch-namespace only; without it, name the policy in \
         spec.parameters of the IngressClass"
    );
    assert_eq!(
        told(&["--default-class=true"]),
        "--default-class goes with --watch-namespace only; without it, annotate the IngressClass \
         with ingressclass.kubernetes.io/is-default-class=true"
    );
    assert_eq!(
        told(&["--watch-namespace=shop", "--class-policy=platform/defaults"]),
        "--class-policy names platform/defaults, but --watch-namespace leaves that namespace out; \
         keep the policy in the watched namespace, where what it names is read too"
    );
    assert_eq!(
        told(&["--watch-namespace=shop", "--secret-namespaces=shop"]),
        "--secret-namespaces and --watch-namespace contradict each other: Secrets are read in the \
         watched namespace; leave --secret-namespaces out"
    );
    for (limit, remedy) in [
        ("--secret-namespaces", "add it there"),
        (
            "--watch-namespace",
            "name a Secret of the watched namespace",
        ),
    ] {
        assert_eq!(
            told(&[
                "--default-tls-secret=tls/wildcard",
                &format!("{limit}=shop")
            ]),
            format!(
                "--default-tls-secret names tls/wildcard, but {limit} leaves that namespace out; \
                 {remedy}"
            )
        );
    }
    assert!(cluster(&["--default-class=false"]).is_ok());
}

#[test]
fn what_cannot_be_right_is_refused() {
    for flag in [
        "--http-address=8080",
        "--http-address=localhost:8080",
        "--workers=0",
        "--workers=1025",
        "--drain-timeout=20",
        "--trusted-proxies=10.0.0.0/33",
        "--controller-name=bywash",
        "--ingress-class=Bywash",
        "--default-tls-secret=wildcard",
        "--publish-address=300.1.2.3",
        "--publish-service=a/b/c",
        "--class-policy=defaults",
        "--secret-namespaces=shop,,pay",
        "--watch-namespace=a b",
        "--log-level=a=b=c",
        "--access-log=xml",
        "--update-status=perhaps",
        "--status-writes-per-second=0",
        "--status-writes-per-second=1001",
        "--status-writes-burst=0",
        "--status-writes-burst=many",
    ] {
        let refused = parse(&[flag]).err().map(|error| error.kind());
        assert!(
            matches!(
                refused,
                Some(ErrorKind::ValueValidation | ErrorKind::InvalidValue)
            ),
            "{flag}: {refused:?}"
        );
    }
}

#[test]
fn proxies_are_named_by_address_or_range() {
    let config = config(&["--trusted-proxies=10.0.0.0/8,192.0.2.1,fd00::/8"]).unwrap();
    let shown: Vec<_> = config
        .clients
        .trusted_proxies
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(shown, ["10.0.0.0/8", "192.0.2.1/32", "fd00::/8"]);
}

#[test]
fn a_published_address_is_an_ip_or_a_host_name() {
    let cluster = cluster(&["--publish-address=192.0.2.1,lb.example.com"]).unwrap();
    assert_eq!(
        cluster.publish_addresses,
        [
            PublishedAddress::Ip("192.0.2.1".parse().unwrap()),
            PublishedAddress::Hostname("lb.example.com".into()),
        ]
    );
}

#[test]
fn the_addresses_of_ingresses_come_from_one_place() {
    for other in [
        "--publish-service=ingress/bywash",
        "--publish-address=192.0.2.1",
    ] {
        let both = parse(&["--publish-node-addresses", other]);
        let refused = both.err().map(|error| error.kind());
        assert_eq!(refused, Some(ErrorKind::ArgumentConflict), "{other}");
    }
    assert!(
        cluster(&["--publish-node-addresses"])
            .unwrap()
            .publish_node_addresses
    );
}

#[test]
fn every_flag_has_an_environment_variable_of_its_name_and_a_help_text() {
    let command = <Line as clap::CommandFactory>::command();
    let mut flags = 0;
    for arg in command.get_arguments() {
        let Some(long) = arg.get_long() else { continue };
        flags += 1;
        let expected = format!("BYWASH_{}", long.replace('-', "_").to_uppercase());
        assert_eq!(arg.get_env().unwrap().to_str(), Some(&*expected));
        assert!(
            arg.get_help()
                .is_some_and(|help| !help.to_string().ends_with('.')),
            "{long}"
        );
    }
    assert!(flags > 25, "{flags}");
}
