//! What the kernel counts for this process (proc(5)).

use std::fs;

/// Read at each scrape.
pub(super) struct ProcessFacts {
    pub(super) cpu_seconds: f64,
    pub(super) resident_bytes: u64,
    pub(super) open_fds: u64,
    pub(super) max_fds: u64,
}

impl ProcessFacts {
    /// Absent where there is no `/proc`.
    pub(super) fn read() -> Option<Self> {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let limits = fs::read_to_string("/proc/self/limits").ok()?;
        let limit = limits
            .lines()
            .find_map(|l| l.strip_prefix("Max open files"))?;
        let open = fs::read_dir("/proc/self/fd").ok()?.count();
        Some(Self {
            cpu_seconds: cpu_seconds(&fs::read_to_string("/proc/self/stat").ok()?)?,
            resident_bytes: field_kib(&status, "VmRSS:")? * 1024,
            open_fds: u64::try_from(open).ok()?,
            max_fds: limit.split_whitespace().next()?.parse().unwrap_or(u64::MAX),
        })
    }
}

/// User and system time from `/proc/self/stat`, whose clock ticks are 1/100 s on every architecture
/// that Linux reports them for (`USER_HZ`).
fn cpu_seconds(stat: &str) -> Option<f64> {
    let after_name = stat.rsplit_once(')')?.1;
    let mut fields = after_name.split_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some((f64::from(user) + f64::from(system)) / 100.0)
}

fn field_kib(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_stand_after_a_name_that_may_hold_anything() {
        let stat = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20";
        assert_eq!(cpu_seconds(stat), Some(2.0));
    }

    #[test]
    fn this_process_uses_memory_and_descriptors() {
        let facts = ProcessFacts::read().unwrap();
        assert!(facts.resident_bytes > 100_000);
        assert!(facts.open_fds > 2 && facts.open_fds <= facts.max_fds);
    }
}
