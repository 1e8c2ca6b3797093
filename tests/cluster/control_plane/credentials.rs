//! Who may talk to the API server, and how it proves who it is.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

/// The users of the token file.
#[derive(Clone, Copy)]
pub(crate) enum User {
    /// Everything is allowed: the tests themselves, and the controller manager.
    Admin,
    /// The rights that an installation of the controller has.
    Bywash,
    /// Known to the API server, and allowed nothing.
    Stranger,
}

impl User {
    const ALL: [Self; 3] = [Self::Admin, Self::Bywash, Self::Stranger];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Bywash => "bywash",
            Self::Stranger => "stranger",
        }
    }

    fn group(self) -> &'static str {
        match self {
            Self::Admin => "system:masters",
            Self::Bywash | Self::Stranger => "tests",
        }
    }

    /// Tokens guard a loopback port in a private namespace: they need not be secret.
    fn token(self) -> String {
        format!("{}-token", self.name())
    }
}

/// The files that the programs read, all in one directory.
pub(super) struct Credentials {
    directory: PathBuf,
}

impl Credentials {
    pub(super) fn generate(directory: &Path, api_server: SocketAddr) -> Self {
        let write = |name: &str, text: String| fs::write(directory.join(name), text).unwrap();

        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority =
            CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let server = CertificateParams::new(vec![api_server.ip().to_string()]).unwrap();
        let server = server.signed_by(&key, &authority).unwrap();
        write("ca.crt", authority.pem());
        write("server.crt", server.pem());
        write("server.key", key.serialize_pem());

        let service_accounts = KeyPair::generate().unwrap();
        write("sa.key", service_accounts.serialize_pem());
        write("sa.pub", service_accounts.public_key_pem());

        let row = |user: User| {
            let (token, name, group) = (user.token(), user.name(), user.group());
            format!("{token},{name},{name},{group}\n")
        };
        write("tokens.csv", User::ALL.map(row).concat());

        let credentials = Self {
            directory: directory.to_owned(),
        };
        for user in User::ALL {
            let path = credentials.kubeconfig(user);
            fs::write(path, kubeconfig(directory, api_server, user)).unwrap();
        }
        credentials
    }

    pub(super) fn kubeconfig(&self, user: User) -> PathBuf {
        self.directory.join(format!("{}.kubeconfig", user.name()))
    }
}

fn kubeconfig(directory: &Path, api_server: SocketAddr, user: User) -> String {
    serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "tests", "cluster": {
            "server": format!("https://{api_server}"),
            "certificate-authority": directory.join("ca.crt"),
        }}],
        "users": [{"name": user.name(), "user": {"token": user.token()}}],
        "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": user.name()}}],
        "current-context": "tests",
    })
    .to_string()
}
