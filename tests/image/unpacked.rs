//! The image of this source, built and unpacked once for all tests.

use std::env;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::Value;

use crate::namespace;
use crate::static_build::static_program;

/// Of the devices that an engine adds, those that a program may want.
pub(super) const DEVICES: [&str; 3] = ["dev/null", "dev/random", "dev/urandom"];

static IMAGE: OnceLock<Image> = OnceLock::new();

/// The archive, and what is in it.
pub(super) struct Image {
    /// The static program from which it was made.
    pub(super) program: PathBuf,
    pub(super) archive: PathBuf,
    pub(super) layer: PathBuf,
    /// Its only layer, unpacked, with a folder `given` and a name server on loopback.
    pub(super) root: PathBuf,
    pub(super) manifest: Value,
    pub(super) config: Value,
}

impl Image {
    /// Inside of a namespace that a test has entered, what was made outside is used.
    pub(super) fn get() -> &'static Self {
        IMAGE.get_or_init(|| {
            let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("image");
            if !namespace::inside() {
                make(&folder);
            }
            Self::read(&folder)
        })
    }

    fn read(folder: &Path) -> Self {
        let unpacked = folder.join("archive");
        let index = json(&unpacked.join("index.json"));
        let manifest = json(&blob(&unpacked, &index["manifests"][0]));
        Self {
            program: folder.join("bywash"),
            archive: folder.join("bywash.tar"),
            root: folder.join("root"),
            config: json(&blob(&unpacked, &manifest["config"])),
            layer: blob(&unpacked, &manifest["layers"][0]),
            manifest,
        }
    }
}

fn make(folder: &Path) {
    let _absent = fs::remove_dir_all(folder);
    fs::create_dir_all(folder).unwrap();
    let program = folder.join("bywash");
    fs::copy(static_program(), &program).unwrap();
    let archive = folder.join("bywash.tar");
    let made = assemble(&program, &archive);
    assert!(made.status.success(), "{}", complaint(&made));
    let unpacked = folder.join("archive");
    unpack(&archive, &unpacked);
    let index = json(&unpacked.join("index.json"));
    let manifest = json(&blob(&unpacked, &index["manifests"][0]));
    let root = folder.join("root");
    unpack(&blob(&unpacked, &manifest["layers"][0]), &root);
    // What an engine adds, so that there is something to mount at.
    fs::create_dir(root.join("given")).unwrap();
    let dns = format!("nameserver {}\n", Ipv4Addr::LOCALHOST);
    fs::write(root.join("etc/resolv.conf"), dns).unwrap();
    fs::create_dir(root.join("dev")).unwrap();
    for device in DEVICES {
        fs::write(root.join(device), "").unwrap();
    }
}

/// What the script makes of a program.
pub(super) fn assemble(program: &Path, archive: &Path) -> Output {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("release/image"))
        .args([program, archive])
        .output()
        .expect("`python3` is needed: install the package python3")
}

pub(super) fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn unpack(archive: &Path, folder: &Path) {
    fs::create_dir(folder).unwrap();
    let mut tar = Command::new("tar");
    tar.arg("-xf").arg(archive).arg("-C").arg(folder);
    assert!(tar.status().unwrap().success());
}

fn json(file: &Path) -> Value {
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

fn blob(unpacked: &Path, descriptor: &Value) -> PathBuf {
    let digest = descriptor["digest"].as_str().unwrap();
    unpacked.join("blobs").join(digest.replace(':', "/"))
}
