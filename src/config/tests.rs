//! From flags to settings.

use clap::Parser;
use clap::error::ErrorKind;

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
    let cluster = Cluster::from(parse(&[]).unwrap().cluster);
    assert!(cluster.update_status && !cluster.instance.is_empty());
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
        "--watch-namespace=a b",
        "--log-level=a=b=c",
        "--access-log=xml",
        "--update-status=perhaps",
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
    let line = parse(&["--publish-address=192.0.2.1,lb.example.com"]).unwrap();
    assert_eq!(
        Cluster::from(line.cluster).publish_addresses,
        [
            PublishedAddress::Ip("192.0.2.1".parse().unwrap()),
            PublishedAddress::Hostname("lb.example.com".into()),
        ]
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
