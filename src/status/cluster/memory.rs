//! What was written of late, and how long it is left alone when somebody undoes it.
//!
//! A write is not repeated until the watch has had the time to show it. When the same is necessary again
//! all the same, somebody else keeps undoing it, and the pause doubles each time.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::report::ObjectRef;

/// How long a write may take to come back through the watch before it is repeated.
const SETTLE: Duration = Duration::from_secs(5);

/// The longest time for which we let somebody have it otherwise.
const YIELD: Duration = Duration::from_secs(600);

/// So often in a row is no accident.
const OFTEN: u32 = 3;

/// What was written, by object.
pub(super) struct Memory<T> {
    written: HashMap<ObjectRef, Written<T>>,
}

struct Written<T> {
    what: T,
    /// Not to be repeated before.
    until: Instant,
    times: u32,
}

impl<T: PartialEq> Memory<T> {
    pub(super) fn new() -> Self {
        Self {
            written: HashMap::new(),
        }
    }

    /// From when on this may be written.
    pub(super) fn due(&self, object: &ObjectRef, what: &T, now: Instant) -> Instant {
        let written = self.written.get(object);
        let same = written.filter(|written| written.what == *what);
        same.map_or(now, |written| written.until)
    }

    /// This was written. Tells whether somebody else has undone it just often enough to say so.
    pub(super) fn remember(&mut self, object: &ObjectRef, what: T, now: Instant) -> bool {
        let before = self.written.get(object);
        let before = before.filter(|before| before.what == what);
        let times = before.map_or(0, |before| before.times + 1);
        let pause = (SETTLE * 2_u32.saturating_pow(times.min(16))).min(YIELD);
        let until = now + pause;
        let written = Written { what, until, times };
        self.written.insert(object.clone(), written);
        times == OFTEN
    }

    /// Forgets what nobody has undone for long; what is still to be written is not forgotten.
    pub(super) fn prune(&mut self, is_wanted: impl Fn(&ObjectRef) -> bool, now: Instant) {
        self.written
            .retain(|object, written| is_wanted(object) || now < written.until + YIELD);
    }

    /// Forgets all that does not satisfy.
    pub(super) fn retain(&mut self, keep: impl Fn(&ObjectRef) -> bool) {
        self.written.retain(|object, _| keep(object));
    }

    pub(super) fn clear(&mut self) {
        self.written.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Kind;

    fn object() -> ObjectRef {
        ObjectRef {
            kind: Kind::Ingress,
            namespace: "shop".into(),
            name: "web".into(),
        }
    }

    #[test]
    fn what_somebody_undoes_is_written_ever_more_slowly() {
        let mut memory = Memory::new();
        let mut now = Instant::now();
        let mut pauses = Vec::new();
        for _ in 0..9 {
            memory.remember(&object(), "ours", now);
            // The other's takes its place, so that ours is wanted no more for a moment.
            memory.prune(|_| false, now);
            let due = memory.due(&object(), &"ours", now);
            pauses.push((due - now).as_secs());
            now = due;
        }
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 320, 600, 600]);
    }

    #[test]
    fn it_is_said_once_that_somebody_keeps_undoing_it() {
        let mut memory = Memory::new();
        let now = Instant::now();
        let said = (0..10).filter(|_| memory.remember(&object(), "ours", now));
        assert_eq!(said.count(), 1);
    }

    #[test]
    fn something_else_may_be_written_at_once_and_what_lasted_is_forgotten() {
        let mut memory = Memory::new();
        let now = Instant::now();
        memory.remember(&object(), "ours", now);
        memory.remember(&object(), "ours", now);
        assert_eq!(memory.due(&object(), &"next", now), now);
        let later = now + Duration::from_secs(3600);
        memory.prune(|_| true, later);
        assert!(memory.due(&object(), &"ours", now) > now);
        memory.prune(|_| false, later);
        assert_eq!(memory.due(&object(), &"ours", now), now);
    }
}
