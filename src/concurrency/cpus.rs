//! How many CPUs this process may use: its affinity and its control group's quota, not the machine.

use std::path::{Path, PathBuf};

/// CPUs in this thread's affinity, at most the control group's quota (rounded up), at least 1; asked once per process.
///
/// Not `available_parallelism`, which rounds a quota of 1.5 CPUs down to one thread.
pub(crate) fn cpus() -> usize {
    *super::process::current().cpus.get_or_init(count)
}

fn count() -> usize {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let Some(allowed) = affinity(&status) else {
        return std::thread::available_parallelism().map_or(1, usize::from);
    };
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limit = quota(Path::new("/sys/fs/cgroup"), &groups).unwrap_or(usize::MAX);
    allowed.min(limit).max(1)
}

/// The CPUs of `Cpus_allowed_list` in `/proc/…/status`: the mask that `sched_getaffinity` returns, but of any width
/// and without an unsafe call.
fn affinity(status: &str) -> Option<usize> {
    let spans = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?.trim();
    spans
        .split(',')
        .map(|span| {
            let (first, last) = span.split_once('-').unwrap_or((span, span));
            (last.parse::<usize>().ok()? + 1).checked_sub(first.parse().ok()?)
        })
        .sum()
}

/// The smallest CPU quota between this process's control group and the root, in whole CPUs, rounded up.
///
/// `groups` is `/proc/self/cgroup`. In a container it may name a path of the host that is not mounted here; only the
/// mount point, which is the container's own group, then has a quota.
fn quota(mount: &Path, groups: &str) -> Option<usize> {
    let found = groups.lines().filter_map(|line| {
        let (controllers, group) = line.split_once(':')?.1.split_once(':')?;
        let root = match controllers {
            "" => mount.to_path_buf(),
            some if some.split(',').any(|controller| controller == "cpu") => first_version(mount, some)?,
            _ => return None,
        };
        let leaf = root.join(group.trim_start_matches('/'));
        leaf.ancestors().take_while(|path| path.starts_with(&root)).filter_map(quota_of).min()
    });
    found.min()
}

/// Where version 1 mounts the `cpu` controller: under its own name or under those of the controllers mounted together.
fn first_version(mount: &Path, controllers: &str) -> Option<PathBuf> {
    [controllers, "cpu", "cpu,cpuacct"].iter().map(|name| mount.join(name)).find(|path| path.is_dir())
}

fn quota_of(group: &Path) -> Option<usize> {
    let read = |name| std::fs::read_to_string(group.join(name)).ok();
    let (limit, period) = match read("cpu.max") {
        Some(line) => {
            let (limit, period) = line.trim().split_once(' ')?;
            (limit.to_owned(), period.to_owned())
        }
        None => (read("cpu.cfs_quota_us")?, read("cpu.cfs_period_us")?),
    };
    // "max" and −1 both mean no limit, and neither parses as `usize`.
    let (limit, period) = (limit.trim().parse::<usize>().ok()?, period.trim().parse::<usize>().ok()?);
    (period > 0).then(|| limit.div_ceil(period).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A temporary directory that imitates the mount point, removed when dropped.
    struct Mount(PathBuf);

    impl Mount {
        fn new(name: &str, files: &[(&str, &str)]) -> Self {
            let root = std::env::temp_dir().join(format!("zarrs-cpus-{name}-{}", std::process::id()));
            for (path, text) in files {
                let path = root.join(path);
                std::fs::create_dir_all(path.parent().expect("a file has a parent")).expect("can write there");
                std::fs::write(path, text).expect("can write there");
            }
            Self(root)
        }
    }

    impl Drop for Mount {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn test_affinity_counts_lists_and_spans() {
        for (list, expected) in [("0", Some(1)), ("0-3", Some(4)), ("1,3,8-11", Some(6)), ("", None), ("x", None)] {
            assert_eq!(affinity(&format!("Name:\tx\nCpus_allowed_list:\t{list}\n")), expected);
        }
        assert_eq!(affinity("Name:\tx\n"), None);
    }

    #[test]
    fn test_version_2_takes_the_smallest_quota_up_to_the_root_rounded_up() {
        let files =
            [("a/cpu.max", "350000 100000\n"), ("a/b/cpu.max", "max 100000\n"), ("c/cpu.max", "50000 100000\n")];
        let mount = Mount::new("v2", &files);
        for (group, expected) in [("/a/b", Some(4)), ("/a", Some(4)), ("/c", Some(1)), ("/", None), ("/gone", None)] {
            assert_eq!(quota(&mount.0, &format!("0::{group}\n")), expected, "{group}");
        }
    }

    #[test]
    fn test_version_1_is_found_under_either_mount_name() {
        let files = [("cpu/cpu.cfs_quota_us", "150000\n"), ("cpu/cpu.cfs_period_us", "100000\n")];
        let mount = Mount::new("v1", &files);
        let groups = "4:memory:/docker/1\n3:cpu,cpuacct:/docker/1\n0::/\n";
        assert_eq!(quota(&mount.0, groups), Some(2));
        std::fs::write(mount.0.join("cpu/cpu.cfs_quota_us"), "-1\n").expect("can write there");
        assert_eq!(quota(&mount.0, groups), None);
    }

    #[test]
    fn test_this_process_has_at_least_as_many_as_the_standard_library_counts() {
        let least = std::thread::available_parallelism().map_or(1, usize::from);
        assert!(cpus() >= least, "{} CPUs, the standard library counts {least}", cpus());
    }
}
