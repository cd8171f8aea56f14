//! Claims about kills, races, full disks and forbidden files.

use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::{Fixture, LocalStore, Options, number};

const CHILD_ROOT: &str = "LOCAL_STORE_TEST_ROOT";

/// An object whose bytes all equal `tag`, with a length that depends on `tag`.
fn tagged(tag: u8) -> Vec<u8> {
    vec![tag; 20_000 + usize::from(tag) * 100]
}

fn assert_is_whole(bytes: &[u8]) {
    let tag = *bytes.first().expect("an object is never empty here");
    assert!(bytes == tagged(tag), "a mixture, of {} bytes", bytes.len());
}

/// Not a test itself: the program of the child process that is killed.
#[test]
fn child_that_writes_until_killed() {
    let Some(root) = std::env::var_os(CHILD_ROOT) else { return };
    let store = LocalStore::new(root.into(), Options::default());
    for tag in (1..=250).cycle() {
        let bytes = tagged(tag);
        let (front, back) = bytes.split_at(7000);
        store.set(&format!("c/{}", tag % 7), &[front, back]).expect("a write");
        store.set(&format!("new/{tag}"), &[front, back]).expect("a write");
        if tag == 250 {
            store.erase("new").expect("an erase");
        }
    }
}

#[test]
fn test_a_kill_leaves_each_object_old_or_new() {
    let fixture = Fixture::new(Options::default());
    let unnamed = fixture.has_unnamed_files();
    let mut left_over = 0;
    for round in 0..20 {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "store::local::tests::faults::child_that_writes_until_killed"])
            .env(CHILD_ROOT, fixture.path(""))
            .spawn()
            .expect("a child");
        let started = Instant::now();
        while !fixture.path("c/6").exists() && started.elapsed() < Duration::from_secs(20) {
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(Duration::from_millis(10 + round * 3));
        child.kill().expect("a kill");
        child.wait().expect("the end of the child");
        let partial = fixture.partial_names();
        for directory in ["c", "new"] {
            for entry in fs::read_dir(fixture.path(directory)).into_iter().flatten() {
                let path = entry.expect("an entry").path();
                if unnamed || !partial.contains(&path) {
                    assert_is_whole(&fs::read(path).expect("a file"));
                }
            }
        }
        if unnamed {
            let replaced = partial.iter().filter(|path| path.parent() == Some(&fixture.path("c"))).count();
            assert_eq!(replaced, partial.len(), "a new object was listed under another name");
        }
        left_over += partial.len();
        fs::remove_dir_all(fixture.path("")).expect("a removal");
    }
    // With unnamed files, only a kill between link and rename leaves a file; otherwise any kill during a write does.
    assert!(left_over <= if unnamed { 3 } else { 20 }, "{left_over} of 20 kills left a file");
}

#[test]
fn test_eight_threads_on_the_same_keys_never_see_a_mixture() {
    for options in [Options::default(), Options { direct_io: false, handle_cache: 3 }] {
        let fixture = Fixture::new(options);
        let keys = ["c/0", "c/1", "d/e/0"];
        for key in keys {
            fixture.store.set(key, &[&tagged(1)]).expect("a write");
        }
        thread::scope(|scope| {
            for writer in 0..8_u8 {
                let fixture = &fixture;
                scope.spawn(move || {
                    for round in 0..60_u8 {
                        let key = keys[usize::from(writer.wrapping_add(round)) % keys.len()];
                        fixture.store.set(key, &[&tagged(writer * 31 + round % 31 + 1)]).expect("a write");
                        for key in keys {
                            assert_is_whole(&fixture.get(key).expect("an object"));
                        }
                    }
                });
            }
        });
        assert!(fixture.partial_names().is_empty());
    }
}

#[test]
fn test_a_directory_removed_during_writes_is_created_again() {
    let fixture = Fixture::new(Options::default());
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let remover = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let _ = fs::remove_dir_all(fixture.path("a"));
                thread::sleep(Duration::from_micros(200));
            }
        });
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                let fixture = &fixture;
                scope.spawn(move || {
                    for round in 0..300 {
                        fixture.store.set(&format!("a/b/{writer}/{}", round % 2), &[b"x"]).expect("a write");
                    }
                })
            })
            .collect();
        let written = writers.into_iter().map(thread::ScopedJoinHandle::join).collect::<Vec<_>>();
        stop.store(true, Ordering::Relaxed);
        remover.join().expect("the remover");
        for writer in written {
            writer.expect("every write");
        }
    });
}

/// Runs `work` as the user `nobody`, in its own thread (Linux keeps the user of file accesses for each thread).
#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
fn as_nobody(work: impl FnOnce() + Send) {
    thread::scope(|scope| {
        scope.spawn(|| {
            // SAFETY: changes only the calling thread, which ends after `work`.
            unsafe { libc::setfsuid(65_534) };
            work();
        });
    });
}

#[cfg(target_os = "linux")]
#[test]
fn test_forbidden_files_raise_the_systems_errno() {
    use std::os::unix::fs::PermissionsExt;

    let fixture = Fixture::new(Options::default());
    let unnamed = fixture.has_unnamed_files();
    fixture.put("c/secret", b"x");
    fs::set_permissions(fixture.path("c/secret"), fs::Permissions::from_mode(0o0)).expect("a change of mode");
    fs::set_permissions(fixture.directory.path(), fs::Permissions::from_mode(0o755)).expect("a change of mode");
    fs::set_permissions(fixture.path("c"), fs::Permissions::from_mode(0o555)).expect("a change of mode");
    as_nobody(|| {
        let denied = Some(libc::EACCES);
        assert_eq!(number(fixture.store.get("c/secret", 0, &mut Vec::new())), denied);
        assert_eq!(number(fixture.store.open("c/secret")), denied);
        assert_eq!(number(fixture.store.set("c/new", &[b"x"])), denied);
        assert_eq!(number(fixture.store.set("c/secret", &[b"x"])), denied);
        assert_eq!(number(fixture.store.set("c/new/below", &[b"x"])), denied);
        assert_eq!(number(fixture.store.erase("c/secret")), denied);
    });
    fs::set_permissions(fixture.path("c"), fs::Permissions::from_mode(0o755)).expect("a change of mode");
    assert_eq!(fixture.has_unnamed_files(), unnamed, "a denial does not mean a lack of unnamed files");
}

/// Without capabilities, a process links by descriptor since Linux 6.10, and by way of /proc before.
#[cfg(target_os = "linux")]
#[test]
fn test_a_user_without_capabilities_writes_unnamed_files_too() {
    use std::os::unix::fs::PermissionsExt;

    let fixture = Fixture::new(Options::default());
    let unnamed = fixture.has_unnamed_files();
    fs::set_permissions(fixture.directory.path(), fs::Permissions::from_mode(0o755)).expect("a change of mode");
    fs::set_permissions(fixture.path(""), fs::Permissions::from_mode(0o777)).expect("a change of mode");
    as_nobody(|| {
        for bytes in [b"first", b"again"] {
            fixture.store.set("c/0", &[bytes]).expect("a write");
            assert_eq!(fixture.get("c/0").as_deref(), Some(bytes.as_slice()));
        }
    });
    assert_eq!(fixture.has_unnamed_files(), unnamed);
}

/// Mounts a file system, which needs root; does nothing otherwise.
#[cfg(target_os = "linux")]
#[test]
fn test_a_full_disk_leaves_the_old_object_and_no_part_of_the_new() {
    let fixture = Fixture::new(Options::default());
    fs::create_dir_all(fixture.path("")).expect("a directory");
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(fixture.path("")).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        return;
    }
    for unnamed in [true, false] {
        fixture.store.unnamed_files.store(unnamed, Ordering::Relaxed);
        fixture.store.set("c", &[b"old"]).expect("a write");
        for key in ["c", "d"] {
            assert_eq!(number(fixture.store.set(key, &[&vec![1; 2 << 20]])), Some(libc::ENOSPC));
        }
        assert_eq!(fixture.get("c").as_deref(), Some(b"old".as_slice()));
        assert_eq!(fs::read_dir(fixture.path("")).expect("a directory").count(), 1);
        // A child that another test forks holds the failed file open, and so occupies its space, until it ends.
        let smaller = || fixture.store.set("c", &[&vec![1; 512 << 10]]).is_ok();
        let has_space = (0..500).any(|_| {
            let written = smaller();
            std::thread::sleep(std::time::Duration::from_millis(if written { 0 } else { 10 }));
            written
        });
        assert!(has_space, "no space for a smaller object");
        fixture.store.erase("c").expect("an erase");
    }
    Command::new("umount").arg(fixture.path("")).status().expect("an unmount");
}

/// The limit is that of the process, so this runs in its own process.
#[test]
#[allow(unsafe_code)]
fn child_with_few_descriptors() {
    let Some(root) = std::env::var_os(CHILD_ROOT) else { return };
    let store = LocalStore::new(root.into(), Options { direct_io: false, handle_cache: 100 });
    let limit = libc::rlimit { rlim_cur: 40, rlim_max: 40 };
    // SAFETY: reads a live plain struct.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
    for i in 0..200 {
        store.set(&format!("c/{i}"), &[b"chunk"]).expect("a write");
        assert!(store.get(&format!("c/{i}"), 0, &mut Vec::new()).expect("a read"));
    }
    let mut objects = Vec::new();
    let error = loop {
        match store.open(&format!("c/{}", objects.len())) {
            Ok(object) => objects.push(object.expect("an object")),
            Err(error) => break error,
        }
    };
    assert_eq!(number::<()>(Err(error)), Some(libc::EMFILE));
    assert!(objects.len() > 20, "{}", objects.len());
}

#[test]
fn test_too_many_open_files_close_the_cached_ones_first() {
    let fixture = Fixture::new(Options::default());
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "store::local::tests::faults::child_with_few_descriptors", "--test-threads=1"])
        .env(CHILD_ROOT, fixture.path(""))
        .output()
        .expect("a child");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
