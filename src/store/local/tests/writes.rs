//! Claims about writes and erasing.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::{Fixture, Options, number, pattern};

/// A store that writes through unnamed files, and one that does not, as on other platforms.
fn both_ways() -> [Fixture; 2] {
    let named = Fixture::new(Options::default());
    #[cfg(target_os = "linux")]
    named.store.unnamed_files.store(false, std::sync::atomic::Ordering::Relaxed);
    [Fixture::new(Options::default()), named]
}

#[test]
fn test_set_creates_replaces_and_leaves_no_other_files() {
    for fixture in both_ways() {
        for round in [&b"first, and longer"[..], b"second", b"", b"third"] {
            for key in ["zarr.json", "c/0/0", "c/0.0.3"] {
                fixture.store.set(key, &[round]).expect("a write");
                assert_eq!(fixture.get(key).as_deref(), Some(round));
            }
        }
        assert!(fixture.partial_names().is_empty());
    }
}

#[test]
fn test_parts_are_concatenated_however_many() {
    for fixture in both_ways() {
        let whole = pattern(3000 * 7);
        let mut parts: Vec<_> = whole.chunks(7).collect();
        parts.insert(5, b"");
        parts.push(b"");
        fixture.store.set("c", &parts).expect("a write");
        assert_eq!(fixture.get("c"), Some(whole));
        for nothing in [&[][..], &vec![&b""[..]; 2000]] {
            fixture.store.set("c", nothing).expect("a write");
            assert_eq!(fixture.get("c").as_deref(), Some(b"".as_slice()));
        }
    }
}

#[test]
fn test_large_parts_are_written_in_order() {
    let fixture = Fixture::new(Options::default());
    let mut whole = pattern(5_000_000);
    fixture.store.set("c", &[&whole[3_000_000..], &whole[..3_000_000]]).expect("a write");
    whole.rotate_left(3_000_000);
    assert_eq!(fixture.get("c"), Some(whole));
}

#[test]
fn test_modes_are_those_of_a_plain_file() {
    for fixture in both_ways() {
        fixture.put("plain/file", b"");
        fixture.store.set("new/object", &[b"x"]).expect("a write");
        fixture.store.set("new/replaced", &[b"x"]).expect("a write");
        fixture.store.set("new/replaced", &[b"y"]).expect("a write");
        let mode = |key| fs::metadata(fixture.path(key)).expect("a file").permissions().mode();
        assert_eq!(mode("new/object"), mode("plain/file"));
        assert_eq!(mode("new/replaced"), mode("plain/file"));
        assert_eq!(mode("new"), mode("plain"));
    }
}

#[test]
fn test_a_relative_root_is_taken_from_the_working_directory() {
    let directory = tempfile::tempdir_in(".").expect("a temporary directory");
    let root = directory.path().strip_prefix(std::env::current_dir().expect("a directory")).unwrap_or(directory.path());
    let store = super::LocalStore::new(root.file_name().expect("a name").into(), Options::default());
    store.set("c", &[b"x"]).expect("a write");
    assert_eq!(fs::read(directory.path().join("c")).expect("a file"), b"x");
}

#[test]
fn test_a_link_is_replaced_and_its_target_kept() {
    for fixture in both_ways() {
        fixture.put("target", b"kept");
        std::os::unix::fs::symlink("target", fixture.path("link")).expect("a link");
        fixture.store.set("link", &[b"new"]).expect("a write");
        assert_eq!(fixture.get("link").as_deref(), Some(b"new".as_slice()));
        assert_eq!(fixture.get("target").as_deref(), Some(b"kept".as_slice()));
    }
}

#[test]
fn test_obstacles_raise_zarrs_errors_and_leave_no_files() {
    for fixture in both_ways() {
        fixture.put("directory/object", b"x");
        // os.replace: IsADirectoryError; mkdir of the parent: FileExistsError, or NotADirectoryError further up.
        assert_eq!(number(fixture.store.set("directory", &[b"x"])), Some(libc::EISDIR));
        assert_eq!(number(fixture.store.set("directory/object/below", &[b"x"])), Some(libc::EEXIST));
        assert_eq!(number(fixture.store.set("directory/object/far/below", &[b"x"])), Some(libc::ENOTDIR));
        assert_eq!(number(fixture.store.set(&"x".repeat(300), &[b"x"])), Some(libc::ENAMETOOLONG));
        assert!(fixture.partial_names().is_empty());
        assert_eq!(fixture.get("directory/object").as_deref(), Some(b"x".as_slice()));
    }
}

#[test]
fn test_erase_removes_objects_and_trees_and_accepts_missing_keys() {
    let fixture = Fixture::new(Options { handle_cache: 8, ..Options::default() });
    fixture.put("c/0/0", b"x");
    fixture.put("c/0/1", b"x");
    fixture.put("d", b"x");
    assert!(fixture.get("c/0/0").is_some());
    fixture.store.erase("nowhere/at/all").expect("nothing");
    fixture.store.erase("d").expect("an object");
    fixture.store.erase("d").expect("nothing");
    fixture.store.erase("c").expect("a tree");
    for key in ["c/0/0", "c/0/1", "d"] {
        assert_eq!(fixture.get(key), None);
    }
    assert!(!fixture.path("c").exists());
}

#[test]
fn test_erase_treats_links_as_zarr_does() {
    let fixture = Fixture::new(Options::default());
    fixture.put("tree/object", b"x");
    for (target, name) in [("tree", "to_tree"), ("tree/object", "to_object"), ("nowhere", "dangling")] {
        std::os::unix::fs::symlink(target, fixture.path(name)).expect("a link");
    }
    fixture.store.erase("to_object").expect("a link to an object");
    fixture.store.erase("dangling").expect("a dangling link");
    assert!(fixture.store.erase("to_tree").is_err(), "shutil.rmtree refuses a link");
    assert_eq!(number(fixture.store.erase("tree/object/below")), Some(libc::ENOTDIR));
    assert_eq!(fixture.get("tree/object").as_deref(), Some(b"x".as_slice()));
    assert!(fs::symlink_metadata(fixture.path("dangling")).is_err());
}
