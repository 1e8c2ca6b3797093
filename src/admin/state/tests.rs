use super::*;

fn route(host: &str, ingress: &str) -> shape::Route {
    shape::Route {
        host: host.to_owned(),
        path: Some("/cart".to_owned()),
        ingress: ingress.to_owned(),
        upstream: Some("shop/web:80".to_owned()),
        ..shape::Route::default()
    }
}

fn upstream() -> shape::Upstream {
    shape::Upstream {
        name: "shop/web:80".to_owned(),
        endpoints: vec![shape::Endpoint {
            address: "10.244.1.7:8080".to_owned(),
            pod: Some("web-1".to_owned()),
            ..shape::Endpoint::default()
        }],
        ..shape::Upstream::default()
    }
}

#[test]
fn a_filter_finds_hosts_paths_ingresses_upstreams_pods_and_addresses_in_any_case() {
    let (route, upstream) = (route("shop.example", "shop/front"), upstream());
    for (filter, found) in [
        ("", true),
        ("Shop.Ex", true),
        ("%2Fcart", true),
        ("shop%2Ffront", true),
        ("web:80", true),
        ("WEB-1", true),
        ("10.244.1.7", true),
        ("database", false),
    ] {
        let wanted = Wanted::parse(&format!("filter={filter}")).unwrap();
        assert_eq!(wanted.takes(&route, Some(&upstream)), found, "{filter}");
    }
}

#[test]
fn an_ingress_is_asked_for_by_its_whole_name() {
    let wanted = Wanted::parse("ingress=shop/front").unwrap();
    assert!(wanted.takes(&route("a", "shop/front"), None));
    assert!(!wanted.takes(&route("a", "shop/front-2"), None));
    assert!(Wanted::parse("ingres=a").is_err());
    assert!(Wanted::parse("limit=many").is_err());
}

#[test]
fn where_not_all_have_a_place_those_in_trouble_are_shown_in_their_order() {
    let hosts = [
        ("a", false),
        ("b", true),
        ("c", false),
        ("d", true),
        ("e", false),
    ];
    for (places, shown) in [(5, "abcde"), (3, "abd"), (2, "bd"), (1, "b"), (0, "")] {
        let mut routes = hosts
            .map(|(host, trouble)| (trouble, route(host, "i")))
            .to_vec();
        let more = limit(&mut routes, Some(places));
        let left: String = routes
            .iter()
            .map(|(_, route)| route.host.as_str())
            .collect();
        assert_eq!((left.as_str(), more), (shown, 5 - places), "{places}");
    }
}

#[test]
fn a_moment_is_the_same_by_both_clocks() {
    let now = Now {
        instant: Instant::now(),
        time: "2026-01-01T00:00:10Z".parse().unwrap(),
    };
    let ahead = now.instant + std::time::Duration::from_secs(5);
    assert_eq!(now.at(ahead).to_string(), "2026-01-01T00:00:15Z");
    assert_eq!(now.at(now.instant), now.time);
}
