//! The process of a container: the command line, in a root of its own.
//!
//! The root holds what the image does, what a runtime adds (`/dev`, `/proc`, `/sys`, names of hosts) and the
//! volumes. It is read-only where the container says so. Not done here is what needs more than one user on
//! this machine: user and group of the container, capabilities, limits.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use k8s_openapi::api::core::v1::{Container, Pod};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;

use super::environment::{self, expand};
use super::image::Image;
use super::sandbox::Sandbox;
use super::{Host, Refused, hosts};
use crate::namespace::tool;

/// Mounts what is named in threes (source, place, mode) until `--`, and becomes the program.
const SCRIPT: &str = r#"
mount=$1 root=$2 mode=$3 chroot=$4 fixed=remount,bind,ro,nosuid,nodev; shift 4
"$mount" --bind "$root" "$root" || exit 128
while [ "$1" != -- ]; do
  "$mount" --rbind "$1" "$root$2" || exit 128
  [ "$3" = rw ] || "$mount" -o "$fixed" "$root$2" || exit 128
  shift 3
done
shift
[ "$mode" = rw ] || "$mount" -o "$fixed" "$root" || exit 128
exec "$chroot" "$root" "$@""#;

/// What a container is started in.
pub(super) struct Surroundings<'a> {
    pub(super) host: &'a Host,
    pub(super) pod: &'a Pod,
    pub(super) sandbox: &'a Sandbox,
    pub(super) volumes: &'a BTreeMap<String, PathBuf>,
    /// Of this container alone.
    pub(super) directory: PathBuf,
    pub(super) log: PathBuf,
}

/// A process that runs; killed when dropped.
pub(super) struct Process(Child);

struct Mount {
    source: PathBuf,
    place: PathBuf,
    writable: bool,
}

impl Mount {
    fn of((source, place): (PathBuf, PathBuf)) -> Self {
        Self {
            source,
            place,
            writable: true,
        }
    }
}

impl Process {
    pub(super) async fn start(
        it: &Surroundings<'_>,
        container: &Container,
    ) -> Result<Self, Refused> {
        let image = Image::pull(container.image.as_deref().unwrap_or_default())?;
        let variables = environment::of(it.host, it.pod, container, &image.environment).await?;
        let root = it.directory.join("root");
        let mut mounts = volume_mounts(it, container)?;
        mounts.extend(image.files().into_iter().map(Mount::of));
        let of_system = ["/dev", "/proc", "/sys"].map(PathBuf::from);
        mounts.extend(of_system.map(|path| Mount::of((path.clone(), path))));
        mounts.extend(hosts::files(it).map(Mount::of));
        // What lies within another is mounted after it.
        mounts.sort_by_key(|mount| mount.place.components().count());

        let security = container.security_context.as_ref();
        let fixed = security.and_then(|it| it.read_only_root_filesystem) == Some(true);
        let mode = if fixed { "ro" } else { "rw" };
        let mut command = it.sandbox.command(&tool("sh"));
        command
            .args(["-c", SCRIPT, "sh"])
            .arg(tool("mount"))
            .arg(&root);
        command.arg(mode).arg(tool("chroot"));
        for mount in &mounts {
            prepare(&root, mount);
            command.arg(&mount.source).arg(&mount.place);
            command.arg(if mount.writable { "rw" } else { "ro" });
        }
        let output = File::options()
            .create(true)
            .append(true)
            .open(&it.log)
            .expect("a log");
        let (program, arguments) = command_line(container, &image, &variables)?;
        command
            .arg("--")
            .arg(program)
            .args(arguments)
            .env_clear()
            .envs(variables);
        command
            .stdin(Stdio::null())
            .stderr(output.try_clone().expect("a log"))
            .stdout(output);
        let child = tokio::process::Command::from(command)
            .kill_on_drop(true)
            .spawn();
        Ok(Self(child.expect("a process of a container")))
    }

    pub(super) async fn ended(&mut self) -> ExitStatus {
        self.0.wait().await.expect("a process of a container")
    }

    pub(super) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    pub(super) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Nobody is told who has ended already.
    fn signal(&self, signal: Signal) {
        let number = self.0.id().and_then(|number| i32::try_from(number).ok());
        if let Some(process) = number.and_then(Pid::from_raw) {
            let _ = kill_process(process, signal);
        }
    }
}

/// As a runtime tells it: of a signal, 128 and its number.
pub(super) fn exit_code(status: ExitStatus) -> i32 {
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

/// `command` replaces the entrypoint and what the image adds to it, `args` only the latter.
fn command_line(
    container: &Container,
    image: &Image,
    variables: &BTreeMap<String, String>,
) -> Result<(PathBuf, Vec<String>), Refused> {
    let given = |list: &Option<Vec<String>>| {
        let list = list.clone().filter(|list| !list.is_empty())?;
        Some(
            list.iter()
                .map(|word| expand(word, variables))
                .collect::<Vec<_>>(),
        )
    };
    let (command, arguments) = (given(&container.command), given(&container.args));
    let (mut line, more) = match (command, arguments) {
        (Some(command), arguments) => (command, arguments.unwrap_or_default()),
        (None, arguments) => {
            let arguments = arguments.unwrap_or_else(|| image.command.clone());
            (image.entrypoint.clone(), arguments)
        }
    };
    line.extend(more);
    let program = image.program(&line.remove(0))?;
    Ok((program, line))
}

fn volume_mounts(it: &Surroundings<'_>, container: &Container) -> Result<Vec<Mount>, Refused> {
    let mounts = container.volume_mounts.iter().flatten();
    let mounted = mounts.map(|mount| {
        let volume = it.volumes.get(&mount.name);
        let missing = || Refused::config(format!("no volume {}", mount.name));
        let volume = volume.ok_or_else(missing)?;
        Ok(Mount {
            source: mount
                .sub_path
                .as_ref()
                .map_or(volume.clone(), |path| volume.join(path)),
            place: PathBuf::from(&mount.mount_path),
            writable: mount.read_only != Some(true),
        })
    });
    mounted.collect()
}

/// Makes the place where something is to be mounted.
fn prepare(root: &Path, mount: &Mount) {
    let within = mount.place.strip_prefix("/").unwrap_or(&mount.place);
    let place = root.join(within);
    if mount.source.is_dir() {
        fs::create_dir_all(place).expect("a place for a volume");
    } else {
        fs::create_dir_all(place.parent().expect("a directory")).expect("a place for a file");
        File::create(place).expect("a place for a file");
    }
}
