//! Objects from a directory of manifests, for running without a cluster.
//!
//! The same objects, read from `*.yaml`, `*.yml` and `*.json` files, subdirectories included; names
//! that begin with a dot are never input. Changes are noticed by the file system's notifications and,
//! where these fail or do not exist, by looking again every few seconds. A change is read once the
//! directory has been quiet for a moment, because files are seldom written in one go.
//!
//! What is broken is a finding with its file and line, and the last good state of the objects
//! concerned stays (`scan`).

mod lines;
mod manifest;
mod object;
pub mod once;
mod scan;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{info, warn};

use super::{Feed, Source, source};
use scan::Files;

pub(super) use object::Object;
pub(super) use scan::Contents;

/// Without another notification before a change is read.
const QUIET: Duration = Duration::from_millis(100);

/// The longest that a directory which never gets quiet is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// Between two looks at the directory when there is no notification.
const RESCAN: Duration = Duration::from_secs(3);

/// Where statuses are written, in the directory; never input, as its name begins with a dot.
pub const STATUS_DIRECTORY: &str = ".status";

/// A directory of manifests, read once.
pub struct Directory {
    root: PathBuf,
    files: Files,
    feed: Arc<Feed>,
}

/// The directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the directory {} cannot be read: {reason}", path.display())]
pub struct OpenError {
    path: PathBuf,
    reason: String,
}

impl Directory {
    /// Reads a directory for the first time. Blocks.
    pub fn open(root: &Path) -> Result<(Self, Source), OpenError> {
        let (feed, source) = source();
        let mut files = Files::new(root.to_owned());
        files.scan(&HashSet::new());
        if let Some(reason) = files.lost() {
            return Err(OpenError {
                path: root.to_owned(),
                reason: reason.to_owned(),
            });
        }
        feed.replace(files.contents());
        let directory = Self {
            root: root.to_owned(),
            files,
            feed: Arc::new(feed),
        };
        Ok((directory, source))
    }

    /// Keeps the objects up to date while it is polled.
    pub async fn run(mut self) {
        let (sender, mut touched) = mpsc::unbounded_channel();
        let _watcher = match notify_about(&self.root, sender.clone()) {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                warn!(%error, "no notifications about {}: looking every few seconds", self.root.display());
                None
            }
        };
        // Whatever changed before the notifications began is not lost.
        let _ = sender.send(self.root.clone());
        loop {
            let paths = next_change(&mut touched).await;
            let scanned = tokio::task::spawn_blocking(move || self.rescan(&paths)).await;
            match scanned {
                Ok(directory) => self = directory,
                Err(error) => {
                    warn!(%error, "reading the directory failed: it is not followed any more");
                    return;
                }
            }
        }
    }

    fn rescan(mut self, touched: &HashSet<PathBuf>) -> Self {
        if self.files.scan(touched) {
            info!("the manifests in {} changed", self.root.display());
            self.feed.replace(self.files.contents());
        }
        self
    }
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Directory")
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}

/// Has every touched path sent, but for those of our own statuses.
fn notify_about(
    root: &Path,
    touched: mpsc::UnboundedSender<PathBuf>,
) -> notify::Result<notify::RecommendedWatcher> {
    let own = root.join(STATUS_DIRECTORY);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // A failure loses nothing: the next look at the directory finds what changed.
        let event = event.unwrap_or_default();
        if event.kind.is_access() {
            return;
        }
        for path in event
            .paths
            .into_iter()
            .filter(|path| !path.starts_with(&own))
        {
            // Nobody listens any more: the process ends.
            let _ = touched.send(path);
        }
    })?;
    watcher.watch(root, RecursiveMode::Recursive)?;
    Ok(watcher)
}

/// Waits for a change and for the quiet after it, or for the time to look without one.
async fn next_change(touched: &mut mpsc::UnboundedReceiver<PathBuf>) -> HashSet<PathBuf> {
    let mut paths = HashSet::new();
    let Ok(Some(first)) = timeout(RESCAN, touched.recv()).await else {
        return paths;
    };
    paths.insert(first);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let quiet = deadline.min(Instant::now() + QUIET);
        match timeout_at(quiet, touched.recv()).await {
            Ok(Some(path)) => paths.insert(path),
            Ok(None) | Err(_) => return paths,
        };
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::stores::View;

    const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n";

    /// The first view in which this holds; far longer than it takes.
    async fn until(source: &mut Source, holds: impl Fn(&View) -> bool) -> View {
        let looking = async {
            loop {
                let view = source.next().await.unwrap();
                if holds(&view) {
                    return view;
                }
            }
        };
        timeout(Duration::from_secs(60), looking).await.unwrap()
    }

    #[tokio::test]
    async fn a_directory_is_read_before_it_is_followed_and_then_kept_up_to_date() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("web.yaml");
        fs::write(&file, SERVICE).unwrap();
        let (followed, mut source) = Directory::open(directory.path()).unwrap();
        assert!(source.is_synced());
        let running = tokio::spawn(followed.run());

        let first = until(&mut source, |view| !view.services.is_empty()).await;
        let version = first.versions.values().next().unwrap().clone();
        fs::write(&file, format!("{SERVICE}spec: {{type: ClusterIP}}\n")).unwrap();
        until(&mut source, |view| {
            !view.versions.values().any(|now| *now == version)
        })
        .await;
        fs::write(directory.path().join("broken.yaml"), "[").unwrap();
        let broken = until(&mut source, |view| !view.findings.is_empty()).await;
        assert_eq!(broken.services.len(), 1);
        fs::remove_file(&file).unwrap();
        until(&mut source, |view| view.services.is_empty()).await;
        running.abort();
    }

    #[test]
    fn a_directory_that_cannot_be_read_is_an_error_in_one_sentence() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        for path in [directory.path().join("absent"), file] {
            let error = Directory::open(&path).unwrap_err().to_string();
            assert!(error.contains(&*path.to_string_lossy()), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_of_notifications_is_one_change_and_endless_ones_are_not_waited_out() {
        let (sender, mut touched) = mpsc::unbounded_channel();
        sender.send(PathBuf::from("a")).unwrap();
        sender.send(PathBuf::from("b")).unwrap();
        let paths = next_change(&mut touched).await;
        assert_eq!(paths, HashSet::from(["a", "b"].map(PathBuf::from)));

        let started = Instant::now();
        tokio::spawn(async move {
            while sender.send(PathBuf::from("c")).is_ok() {
                tokio::time::sleep(QUIET / 2).await;
            }
        });
        next_change(&mut touched).await;
        assert!(started.elapsed() <= PATIENCE + QUIET);
    }

    #[tokio::test(start_paused = true)]
    async fn without_notifications_the_directory_is_looked_at_again() {
        let (_sender, mut touched) = mpsc::unbounded_channel();
        let started = Instant::now();
        assert_eq!(next_change(&mut touched).await, HashSet::new());
        assert_eq!(started.elapsed(), RESCAN);
    }
}
