//! All files of a directory, and the last good state of each.
//!
//! A file whose content does not make sense keeps what it last held, since the usual reason is that
//! somebody is still writing it. A file that is gone takes its objects with it, and so does a
//! document that was removed from a file which is otherwise well; but a file of zero bytes is one
//! that was opened for writing, not one whose author wants its objects gone.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::manifest::{self, Fault, Manifest, Placed};
use super::object::Object;
use crate::report::{Code, FilePosition, Finding, ObjectRef};

/// How deep directories are followed: symbolic links may form a circle.
const DEEPEST: usize = 8;

/// The directory as last read.
pub(super) struct Files {
    root: PathBuf,
    known: BTreeMap<PathBuf, File>,
    /// Files and directories that cannot be read, and why: what they held last stays.
    blocked: BTreeMap<PathBuf, String>,
}

/// Everything that the files hold.
#[derive(Default)]
pub(in crate::stores) struct Contents {
    pub(in crate::stores) objects: Vec<(ObjectRef, Object)>,
    pub(in crate::stores) positions: HashMap<ObjectRef, FilePosition>,
    pub(in crate::stores) findings: Vec<Finding>,
}

#[derive(Default)]
struct File {
    stamp: Option<Stamp>,
    /// In order, those of this reading before those of an earlier one.
    objects: Vec<Placed>,
    /// How many of them are of this reading.
    fresh: usize,
    faults: Vec<Fault>,
}

/// The manifests under a directory.
#[derive(Default)]
pub(super) struct Listing {
    pub(super) files: BTreeMap<PathBuf, Stamp>,
    pub(super) blocked: BTreeMap<PathBuf, String>,
}

/// Changes whenever a file does, unless that happens twice in one tick of the clock.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Files {
    pub(super) fn new(root: PathBuf) -> Self {
        Self {
            root,
            known: BTreeMap::new(),
            blocked: BTreeMap::new(),
        }
    }

    /// Reads what changed; `touched` files even where they look unchanged. True if anything differs.
    pub(super) fn scan(&mut self, touched: &HashSet<PathBuf>) -> bool {
        let mut listing = Listing::default();
        listing.add(&self.root, 0);
        let mut differs = self.blocked != listing.blocked;
        self.blocked = listing.blocked;
        let blocked = |path: &PathBuf| self.blocked.keys().any(|blocked| path.starts_with(blocked));
        let before = self.known.len();
        self.known
            .retain(|path, _| listing.files.contains_key(path) || blocked(path));
        differs |= self.known.len() != before;
        for (path, stamp) in listing.files {
            let file = self.known.entry(path.clone()).or_default();
            if file.stamp == Some(stamp) && !touched.contains(&path) {
                continue;
            }
            file.stamp = Some(stamp);
            file.read(&path);
            differs = true;
        }
        differs
    }

    /// Why the directory itself cannot be read, if it cannot.
    pub(super) fn lost(&self) -> Option<&str> {
        self.blocked.get(&self.root).map(String::as_str)
    }

    /// Everything, each object once.
    pub(super) fn contents(&self) -> Contents {
        let mut contents = Contents::default();
        for (path, error) in &self.blocked {
            contents.findings.push(Finding {
                object: None,
                position: Some(position(path, 1)),
                code: Code::UnreadableFile,
                message: format!("cannot be read: {error}"),
            });
        }
        for (path, file) in &self.known {
            for fault in &file.faults {
                contents.findings.push(Finding {
                    object: fault.object.clone(),
                    position: Some(position(path, fault.line)),
                    code: fault.code,
                    message: fault.message.clone(),
                });
            }
            for placed in &file.objects[..file.fresh] {
                contents.add(path, placed, true);
            }
        }
        for (path, file) in &self.known {
            for placed in &file.objects[file.fresh..] {
                contents.add(path, placed, false);
            }
        }
        contents
    }
}

impl Contents {
    pub(super) fn add(&mut self, path: &Path, placed: &Placed, fresh: bool) {
        let here = position(path, placed.line);
        if let Some(first) = self.positions.get(&placed.key) {
            if fresh {
                self.findings.push(Finding {
                    object: Some(placed.key.clone()),
                    message: format!("the same object stands in {first}; this one is ignored"),
                    position: Some(here),
                    code: Code::DuplicateObject,
                });
            }
            return;
        }
        self.positions.insert(placed.key.clone(), here);
        self.objects
            .push((placed.key.clone(), placed.object.clone()));
    }
}

impl File {
    fn read(&mut self, path: &Path) {
        let manifest = match fs::read(path).map(String::from_utf8) {
            Ok(Ok(text)) if text.is_empty() && !self.objects.is_empty() => Manifest::unreadable(
                "the file is empty: remove it if its objects are meant to go".to_owned(),
            ),
            Ok(Ok(text)) => manifest::parse(&text),
            Ok(Err(_)) => Manifest::unreadable("the file is not text in UTF-8".to_owned()),
            Err(error) => Manifest::unreadable(format!("the file cannot be read: {error}")),
        };
        let before = std::mem::take(&mut self.objects);
        self.fresh = manifest.objects.len();
        self.objects = manifest.objects;
        self.faults = manifest.faults;
        // A fault that names no object may be any of those that are missing now.
        let anonymous = self
            .faults
            .iter()
            .any(|fault| fault.object.is_none() && fault.code != Code::UnknownKind);
        for placed in before {
            let missing = !self.objects.iter().any(|now| now.key == placed.key);
            let broken = self
                .faults
                .iter()
                .any(|fault| fault.object.as_ref() == Some(&placed.key));
            if missing && (anonymous || broken) {
                self.objects.push(placed);
            }
        }
    }
}

impl Manifest {
    fn unreadable(message: String) -> Self {
        Self {
            faults: vec![Fault {
                line: 1,
                object: None,
                code: Code::UnreadableFile,
                message,
            }],
            ..Self::default()
        }
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            bytes: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

impl Listing {
    pub(super) fn add(&mut self, directory: &Path, depth: usize) {
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            // What vanished while it was listed is simply gone, but for the top.
            Err(error) if error.kind() == io::ErrorKind::NotFound && depth > 0 => return,
            Err(error) => return self.block(directory, &error),
        };
        for entry in entries {
            match entry {
                Ok(entry) if entry.file_name().as_encoded_bytes().starts_with(b".") => {}
                Ok(entry) => self.add_entry(entry.path(), depth),
                Err(error) => self.block(directory, &error),
            }
        }
    }

    fn add_entry(&mut self, path: PathBuf, depth: usize) {
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() && depth < DEEPEST => self.add(&path, depth + 1),
            Ok(metadata) if metadata.is_file() && is_manifest(&path) => {
                self.files.insert(path, Stamp::of(&metadata));
            }
            Err(error) if is_manifest(&path) && error.kind() != io::ErrorKind::NotFound => {
                self.block(&path, &error);
            }
            _ => {}
        }
    }

    fn block(&mut self, path: &Path, error: &io::Error) {
        self.blocked.insert(path.to_owned(), error.to_string());
    }
}

fn is_manifest(path: &Path) -> bool {
    path.extension().is_some_and(|extension| {
        ["yaml", "yml", "json"]
            .iter()
            .any(|known| extension == *known)
    })
}

pub(super) fn position(path: &Path, line: u32) -> FilePosition {
    FilePosition {
        file: path.to_owned(),
        line,
    }
}

#[cfg(test)]
mod tests;
