//! How long an endpoint lets connections idle, learned from those that it closed: a pure state machine.
//!
//! Few servers announce their idle timeout, and a request on a connection that is being closed is
//! lost if it must not be repeated. So the ages tell at which idle connections were cut. One close
//! teaches nothing, and neither do many at one moment: a pod that restarts closes all it has. Only when
//! connections are cut at about the same age, at three different moments, and none was seen to idle
//! much longer meanwhile, that age is the endpoint's limit, and ours stays below it.
//!
//! What was learned is forgotten slowly, since a limit that is obeyed is no longer seen: without a
//! close at about that age our limit doubles every ten minutes, until one confirms it or it does not
//! matter any more. Times are since an epoch of the caller's.

use std::time::Duration;

/// At so many different moments connections are cut before anything is learned.
const MOMENTS: u8 = 3;

/// What happens within this time happens at one moment.
const MOMENT: Duration = Duration::from_secs(1);

/// Without a confirmation for this long, the limit doubles.
const DOUBLES_AFTER: Duration = Duration::from_secs(600);

/// After so many doublings nothing is left of what was learned.
const FORGOTTEN_AFTER: u32 = 16;

/// How far a limit stays below an idle life, at most: half of that life is always left.
const MARGIN: Duration = Duration::from_secs(1);

/// An idle connection that the endpoint closed.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    /// How long it had idled.
    pub age: Duration,
    /// When it was closed.
    pub at: Duration,
    /// The longest that a connection idled without being closed, since the cut before this one.
    pub outlived: Duration,
}

/// What the cuts of an endpoint amount to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cuts {
    streak: Option<Streak>,
    learned: Option<Learned>,
}

/// Cuts at about the same age.
#[derive(Clone, Copy, Debug)]
struct Streak {
    shortest: Duration,
    longest: Duration,
    moments: u8,
    /// When the last of them began.
    moment: Duration,
}

/// An idle life that was learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Learned {
    life: Duration,
    /// When a connection was last cut at about this age.
    confirmed: Duration,
}

impl Cuts {
    /// Takes a cut into account; whether a life was learned by it.
    pub fn add(&mut self, cut: Cut) -> bool {
        if let Some(learned) = self.known(cut.at) {
            if alike(learned.life, cut.age) {
                self.learned = Some(learned.confirmed_by(cut));
                return false;
            }
        } else {
            self.learned = None;
        }
        let streak = match self.streak {
            Some(streak) if streak.admits(cut) => streak.with(cut),
            _ => Streak::of(cut),
        };
        if streak.moments < MOMENTS {
            self.streak = Some(streak);
            return false;
        }
        self.streak = None;
        self.learned = Some(Learned {
            life: streak.shortest,
            confirmed: cut.at,
        });
        true
    }

    /// What is known at this moment.
    pub fn known(&self, now: Duration) -> Option<Learned> {
        self.learned.filter(|learned| learned.limit(now).is_some())
    }
}

impl Streak {
    fn of(cut: Cut) -> Self {
        Self {
            shortest: cut.age,
            longest: cut.age,
            moments: 1,
            moment: cut.at,
        }
    }

    /// Whether a cut says the same as those before it.
    fn admits(&self, cut: Cut) -> bool {
        let (shortest, longest) = (self.shortest.min(cut.age), self.longest.max(cut.age));
        alike(shortest, longest) && (cut.outlived <= shortest || alike(cut.outlived, shortest))
    }

    fn with(self, cut: Cut) -> Self {
        let new_moment = cut.at >= self.moment + MOMENT;
        Self {
            shortest: self.shortest.min(cut.age),
            longest: self.longest.max(cut.age),
            moments: self.moments + u8::from(new_moment),
            moment: if new_moment { cut.at } else { self.moment },
        }
    }
}

impl Learned {
    /// How long a connection may idle; `None` where too long ago to count.
    pub fn limit(self, now: Duration) -> Option<Duration> {
        let since = now.saturating_sub(self.confirmed);
        let doublings = u32::try_from(since.as_secs() / DOUBLES_AFTER.as_secs()).ok()?;
        (doublings < FORGOTTEN_AFTER).then(|| below(self.life).saturating_mul(1 << doublings))
    }

    /// The life, as far as it is known.
    pub fn life(self) -> Duration {
        self.life
    }

    /// Down at once, up by half of the difference.
    fn confirmed_by(self, cut: Cut) -> Self {
        let between = (self.life + cut.age) / 2;
        Self {
            life: cut.age.min(between),
            confirmed: cut.at,
        }
    }

    /// As one word: milliseconds of life above, the second of the confirmation below. Never 0, unless
    /// the life is shorter than a millisecond.
    pub fn pack(self) -> u64 {
        let life = u32::try_from(self.life.as_millis()).unwrap_or(u32::MAX);
        let confirmed = u32::try_from(self.confirmed.as_secs()).unwrap_or(u32::MAX);
        u64::from(life) << 32 | u64::from(confirmed)
    }

    /// The inverse of [`pack`](Self::pack); 0 is nothing.
    #[expect(clippy::cast_possible_truncation, reason = "the halves of the word")]
    pub fn unpack(word: u64) -> Option<Self> {
        (word != 0).then(|| Self {
            life: Duration::from_millis(word >> 32),
            confirmed: Duration::from_secs(u64::from(word as u32)),
        })
    }
}

/// How long a connection may idle where the endpoint announced that it closes after this time.
pub fn before(announced: Duration) -> Duration {
    announced - MARGIN.min(announced / 2)
}

/// How long one may idle where the endpoint was seen to close after this time: that is less exact.
fn below(seen: Duration) -> Duration {
    before(seen).min(seen * 4 / 5)
}

/// Servers look after their timeouts once in a while, so that ages differ: by half at most.
fn alike(one: Duration, other: Duration) -> bool {
    one.max(other) <= one.min(other) * 3 / 2
}

#[cfg(test)]
mod tests;
