//! Claims about cached handles and direct I/O: both may change the time that a read takes, never its bytes.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::{ByteRange, Fixture, LocalStore, Options, pattern, read, read_into};

fn cached() -> Fixture {
    Fixture::new(Options { handle_cache: 4, ..Options::default() })
}

#[test]
fn test_a_cached_handle_is_reused() {
    let fixture = cached();
    fixture.put("c", b"chunk");
    fixture.open("c");
    let kept = fixture.store.handles.get("c").expect("a cached handle");
    fixture.open("c");
    assert!(Arc::ptr_eq(&kept, &fixture.store.handles.get("c").expect("a cached handle")));
}

#[test]
fn test_changes_by_other_writers_are_noticed() {
    let fixture = cached();
    fixture.put("c", b"first");
    assert_eq!(fixture.get("c").as_deref(), Some(b"first".as_slice()));
    // In place with the same length; then longer, shorter, replaced by another file, removed, and written again.
    fixture.put("c", b"again");
    assert_eq!(fixture.get("c").as_deref(), Some(b"again".as_slice()));
    fixture.put("c", b"much longer");
    assert_eq!(fixture.open("c").len().expect("a length"), 11);
    assert_eq!(fixture.get("c").as_deref(), Some(b"much longer".as_slice()));
    File::options().write(true).open(fixture.path("c")).expect("a file").set_len(4).expect("a cut");
    assert_eq!(fixture.get("c").as_deref(), Some(b"much".as_slice()));
    fixture.put("other", b"MUCH");
    fs::rename(fixture.path("other"), fixture.path("c")).expect("a rename");
    assert_eq!(fixture.get("c").as_deref(), Some(b"MUCH".as_slice()));
    fs::remove_file(fixture.path("c")).expect("a removal");
    assert_eq!(fixture.get("c"), None);
    fixture.put("c", b"back");
    assert_eq!(fixture.get("c").as_deref(), Some(b"back".as_slice()));
}

#[test]
fn test_own_writes_and_erasures_drop_the_handle() {
    let fixture = cached();
    for bytes in [b"first", b"again"] {
        fixture.store.set("c", &[bytes]).expect("a write");
        assert!(fixture.store.handles.get("c").is_none());
        assert_eq!(fixture.get("c").as_deref(), Some(bytes.as_slice()));
        assert!(fixture.store.handles.get("c").is_some());
    }
    fixture.store.erase("c").expect("an erase");
    assert!(fixture.store.handles.get("c").is_none());
    assert_eq!(fixture.get("c"), None);
}

#[test]
fn test_no_more_files_stay_open_than_allowed() {
    for capacity in [1, 3, 16, 20] {
        let fixture = Fixture::new(Options { handle_cache: capacity, ..Options::default() });
        for i in 0..100 {
            fixture.put(&format!("c/{i}"), b"chunk");
            fixture.open(&format!("c/{i}"));
        }
        let open = (0..100).filter(|i| fixture.store.handles.get(&format!("c/{i}")).is_some()).count();
        assert!((1..=capacity).contains(&open), "{open} of {capacity}");
    }
}

#[test]
fn test_a_lock_held_elsewhere_is_a_miss() {
    // As in a child that was forked while another thread of the parent held every lock.
    let fixture = cached();
    fixture.put("c", b"chunk");
    fixture.open("c");
    let held = fixture.store.handles.hold_all();
    assert_eq!(fixture.get("c").as_deref(), Some(b"chunk".as_slice()));
    fixture.store.set("c", &[b"newer"]).expect("a write");
    drop(held);
    assert_eq!(fixture.get("c").as_deref(), Some(b"newer".as_slice()));
}

#[test]
fn test_direct_reads_equal_buffered_ones_at_odd_offsets() {
    let (direct, buffered) = (Options { direct_io: true, handle_cache: 0 }, Options::default());
    for size in [0, 1, 511, 512, 4095, 4096, 4097, 1 << 20, (1 << 20) + 1, 3_000_001] {
        let fixture = Fixture::new(direct);
        let expected = pattern(size);
        fixture.store.set("c", &[&expected]).expect("a write");
        let plain = LocalStore::new(fixture.path(""), buffered).open("c").expect("an open").expect("an object");
        let object = fixture.open("c");
        assert_eq!(fixture.get("c").as_ref(), Some(&expected), "size {size}");
        for (start, len) in [(0, size), (1, 10), (4090, 20), (4096, 4096), (size / 2, size), (size, 1), (7, 1 << 21)] {
            let range = ByteRange::Range { start: start as u64, len: len as u64 };
            assert!(read(&object, range) == read(&plain, range), "size {size}, {range:?}");
            let (left, right) = (read_into(&object, start as u64, len), read_into(&plain, start as u64, len));
            assert!(left.ok() == right.ok(), "size {size}, {range:?}");
        }
        assert_eq!(read(&object, ByteRange::Suffix(13)), expected[size - size.min(13)..]);
        assert!(fixture.store.direct_io_refused() || cfg!(target_os = "linux"));
    }
}

#[test]
fn test_direct_reads_see_what_was_just_written() {
    let fixture = Fixture::new(Options { direct_io: true, handle_cache: 2 });
    fixture.put("c", &pattern(10_000));
    let object = fixture.open("c");
    let file = File::options().write(true).open(fixture.path("c")).expect("a file");
    file.write_all_at(b"here", 5000).expect("a write");
    assert_eq!(read(&object, ByteRange::Range { start: 5000, len: 4 }), b"here");
}

#[cfg(target_os = "linux")]
#[test]
fn test_a_file_system_without_direct_io_is_read_buffered_and_reported() {
    let store = LocalStore::new("/proc".into(), Options { direct_io: true, handle_cache: 0 });
    assert!(!store.direct_io_refused());
    let mut bytes = Vec::new();
    assert!(store.get("version", 0, &mut bytes).expect("a read"));
    assert_eq!(bytes, fs::read("/proc/version").expect("a read"));
    assert!(store.direct_io_refused());
}

#[cfg(target_os = "linux")]
#[test]
fn test_direct_io_refused_at_the_first_read_continues_buffered() {
    // No file system refuses so late in a test: the buffer is always aligned, so the refusal is simulated.
    let fixture = Fixture::new(Options { direct_io: true, handle_cache: 0 });
    let expected = pattern(10_000);
    fixture.put("c", &expected);
    super::super::direct::REFUSE.set(true);
    let object = fixture.open("c");
    assert_eq!(read_into(&object, 3, 9000).expect("a read"), expected[3..9003]);
    super::super::direct::REFUSE.set(false);
    assert!(fixture.store.direct_io_refused());
    assert_eq!(read(&object, ByteRange::Whole), expected);
    assert_eq!(fixture.get("c"), Some(expected));
}
