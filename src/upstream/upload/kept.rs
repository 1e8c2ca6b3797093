//! What is kept of an upload for a further attempt: as much as its policy allows, and all uploads
//! together no more than the process has for them.

use std::sync::Arc;

use bytes::Bytes;

use crate::upstream::count::Count;

/// The most frames kept: a body of tiny ones would take many times its size.
pub(super) const MAX_FRAMES: usize = 1024;

/// The memory for all that is kept while there may be further attempts.
#[derive(Debug)]
pub struct ReplayMemory {
    used: Count,
    most: u64,
}

/// Some of it, until this is dropped.
#[derive(Debug)]
pub struct Reserved {
    memory: Arc<ReplayMemory>,
    bytes: u64,
}

/// The frames of one upload.
#[derive(Debug)]
pub(super) struct Kept {
    frames: Vec<Bytes>,
    /// What its policy still allows.
    room: usize,
    memory: Arc<ReplayMemory>,
    /// Taken from the memory.
    held: u64,
}

impl ReplayMemory {
    /// So many bytes.
    pub fn new(most: u64) -> Arc<Self> {
        Arc::new(Self {
            used: Count::new(),
            most,
        })
    }

    /// So many bytes of it, if there are as many.
    pub fn reserve(self: &Arc<Self>, bytes: u64) -> Option<Reserved> {
        self.used.take(bytes, self.most).then(|| Reserved {
            memory: Arc::clone(self),
            bytes,
        })
    }
}

impl Reserved {
    /// Makes it as much as this, if there is as much.
    pub fn grow(&mut self, bytes: u64) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let grown = self.memory.used.take(more, self.memory.most);
        if grown {
            self.bytes += more;
        }
        grown
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.memory.used.give_back(self.bytes);
    }
}

impl Kept {
    pub(super) fn new(room: usize, memory: &Arc<ReplayMemory>) -> Self {
        Self {
            frames: Vec::new(),
            room,
            memory: Arc::clone(memory),
            held: 0,
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<&Bytes> {
        self.frames.get(index)
    }

    /// Keeps one more, if it may; whether it did.
    #[must_use]
    pub(super) fn push(&mut self, data: &Bytes) -> bool {
        let length = data.len() as u64;
        let Some(room) = self.room.checked_sub(data.len()) else {
            return false;
        };
        if self.frames.len() >= MAX_FRAMES || !self.memory.used.take(length, self.memory.most) {
            return false;
        }
        self.room = room;
        self.held += length;
        self.frames.push(data.clone());
        true
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.memory.used.give_back(self.held);
    }
}
