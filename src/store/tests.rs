//! The contract of a store, as claims that hold for every native store. What only one of them does is in its own tests.
#![allow(unsafe_code)] // Snapshots borrow the objects of the tests.

use std::fs;
use std::sync::Arc;
use std::thread;

use rawzip::CompressionMethod;
use tempfile::TempDir;

use super::local::{LocalStore, Options};
use super::zip::tests::Fixture;
use super::{ByteRange, Fetch, Object, Size, Snapshot, Store, UNKNOWN_LENGTH, Window};
use crate::error::{Error, Kind, Result};
use crate::memory::{BorrowedBytes, OutBytes};

/// A store that holds the objects of a test.
struct Case {
    name: &'static str,
    store: Store,
    kind: Backing,
}

/// Whatever keeps the objects of a [`Case`] alive.
enum Backing {
    Files(#[allow(dead_code, reason = "removed when dropped")] TempDir),
    Archive(Fixture),
    Memory(#[allow(dead_code, reason = "borrowed by the snapshot")] Vec<Box<[u8]>>),
}

type Objects<'a> = [(&'a str, &'a [u8])];

fn files(name: &'static str, options: Options, objects: &Objects<'_>) -> Case {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let store = LocalStore::new(directory.path().join("root"), options);
    for (key, bytes) in objects {
        store.set(key, &[bytes]).expect("a write");
    }
    Case { name, store: Store::Local(Arc::new(store)), kind: Backing::Files(directory) }
}

fn archive(name: &'static str, method: CompressionMethod, objects: &Objects<'_>) -> Case {
    let archive = Fixture::new(objects, method);
    Case { name, store: Store::Zip(archive.open().expect("an archive")), kind: Backing::Archive(archive) }
}

fn snapshot(objects: &Objects<'_>) -> Case {
    let owned: Vec<Box<[u8]>> = objects.iter().map(|(_, bytes)| (*bytes).into()).collect();
    let mut snapshot = Snapshot::with_capacity(objects.len());
    for ((key, _), bytes) in objects.iter().zip(&owned) {
        // SAFETY: the case owns the bytes, which stay in place unchanged, and no test keeps the store longer than the case.
        snapshot.insert(key, unsafe { BorrowedBytes::new(bytes.as_ptr(), bytes.len()) });
    }
    Case { name: "snapshot", store: Store::Snapshot(Arc::new(snapshot)), kind: Backing::Memory(owned) }
}

/// Every native store with `objects` in it, in each of its ways of reading.
fn cases(objects: &Objects<'_>) -> Vec<Case> {
    vec![
        files("files", Options::default(), objects),
        files("files that stay open", Options { handle_cache: 3, ..Options::default() }, objects),
        files("direct I/O", Options { direct_io: true, ..Options::default() }, objects),
        archive("stored entries", CompressionMethod::STORE, objects),
        archive("deflated entries", CompressionMethod::DEFLATE, objects),
        snapshot(objects),
    ]
}

impl Case {
    fn size() -> Size {
        Size::new(1000, 0)
    }

    fn get(&self, key: &str) -> Option<Vec<u8>> {
        let mut buffer = b"left over".to_vec();
        self.store.get(key, Self::size(), &mut buffer).expect("a read").map(<[u8]>::to_vec)
    }

    fn open(&self, key: &str) -> Object<'_> {
        self.store.open(key, Self::size()).expect("an open").expect("an object")
    }

    fn is_writable(&self) -> bool {
        matches!(self.kind, Backing::Files(_))
    }
}

fn read(object: &Object<'_>, range: ByteRange) -> Vec<u8> {
    let mut buffer = b"left over".to_vec();
    let window = Window::whole(object).expect("a length").request(range);
    window.read(&mut buffer).expect("a read").to_vec()
}

fn read_into(object: &Object<'_>, start: u64, len: usize) -> Result<Vec<u8>> {
    let mut out = vec![0xee; len];
    Window::whole(object)?.read_into(start, OutBytes::from(&mut out[..]))?;
    Ok(out)
}

/// Bytes that differ between neighbouring offsets and between blocks.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

#[test]
fn test_a_missing_key_is_none_and_no_error() {
    for case in cases(&[("c/0/0", b"chunk")]) {
        for key in ["c/0/1", "c/0", "c", "", "c/0/0/0", "c/0/00", "C/0/0", "nowhere/at/all"] {
            assert_eq!(case.get(key), None, "{}: {key:?}", case.name);
            assert!(case.store.open(key, Case::size()).expect("an open").is_none(), "{}: {key:?}", case.name);
        }
    }
}

#[test]
fn test_a_whole_object_is_what_was_stored_whatever_its_size() {
    for len in [1, 100, 4095, 4096, 4097, 300_000, 600_001] {
        let expected = pattern(len);
        for case in cases(&[("zarr.json", b"{}"), ("c/0", &expected)]) {
            assert!(case.get("c/0").as_ref() == Some(&expected), "{}: {len}", case.name);
            let object = case.open("c/0");
            assert!(read(&object, ByteRange::Whole) == expected, "{}: {len}", case.name);
            assert!(read_into(&object, 0, len).expect("all bytes") == expected, "{}: {len}", case.name);
            assert_eq!(case.get("zarr.json").as_deref(), Some(&b"{}"[..]), "{}", case.name);
        }
    }
}

#[test]
fn test_the_length_is_known_at_open() {
    for case in cases(&[("a", &pattern(1000)), ("b", b"")]) {
        for (key, len) in [("a", 1000), ("b", 0)] {
            assert_eq!(case.open(key).len().expect("a length"), len, "{}", case.name);
            assert_ne!(len, UNKNOWN_LENGTH);
        }
    }
}

#[test]
fn test_ranges_end_where_the_object_ends() {
    let expected = pattern(1000);
    for case in cases(&[("c", &expected)]) {
        let object = case.open("c");
        for (start, len) in [(0, 1000), (0, 0), (10, 20), (990, 10), (990, 11), (1000, 5), (5000, 5), (3, u64::MAX)] {
            let wanted: Vec<_> = expected.iter().copied().skip(start).take(len as usize).collect();
            let range = ByteRange::Range { start: start as u64, len };
            assert_eq!(read(&object, range), wanted, "{}: {range:?}", case.name);
        }
        assert_eq!(read(&object, ByteRange::Range { start: u64::MAX, len: u64::MAX }), b"", "{}", case.name);
    }
}

#[test]
fn test_a_suffix_longer_than_the_object_is_all_of_it() {
    let expected = pattern(1000);
    for case in cases(&[("c", &expected)]) {
        let object = case.open("c");
        for len in [0, 1, 999, 1000, 1001, usize::MAX] {
            let wanted = &expected[1000 - len.min(1000)..];
            assert_eq!(read(&object, ByteRange::Suffix(len as u64)), wanted, "{}: {len}", case.name);
        }
    }
}

#[test]
fn test_read_into_fills_the_output_or_refuses() {
    let expected = pattern(1000);
    for case in cases(&[("c", &expected)]) {
        let object = case.open("c");
        for (start, len) in [(7, 993), (0, 1), (999, 1), (1000, 0)] {
            let wanted = &expected[start..start + len];
            assert_eq!(read_into(&object, start as u64, len).expect("a read"), wanted, "{}: {start} {len}", case.name);
        }
        for (start, len) in [(7, 994), (1000, 1), (1001, 0), (5000, 5), (u64::MAX, 5)] {
            let error = read_into(&object, start, len).expect_err("too short");
            assert!(matches!(error.kind, Kind::Value), "{}: {start} {len}: {error}", case.name);
        }
    }
}

#[test]
fn test_an_empty_object_is_not_missing() {
    for case in cases(&[("c", b""), ("d", b"more")]) {
        assert_eq!(case.get("c").as_deref(), Some(&b""[..]), "{}", case.name);
        let object = case.open("c");
        for range in [ByteRange::Whole, ByteRange::Range { start: 0, len: 5 }, ByteRange::Suffix(5)] {
            assert_eq!(read(&object, range), b"", "{}: {range:?}", case.name);
        }
        assert_eq!(read_into(&object, 0, 0).expect("nothing to read"), b"", "{}", case.name);
    }
}

#[test]
fn test_keys_may_hold_any_characters_of_a_file_name() {
    let keys = ["a b/%41/ü.0", "c/0.0.3", "-", "~", "d/\"quoted\"", "e/[0-9]*?", "u\u{308}", "📦/0", "f/.hidden"];
    let objects: Vec<_> = keys.iter().map(|key| (*key, key.as_bytes())).collect();
    for case in cases(&objects) {
        for key in keys {
            assert_eq!(case.get(key).as_deref(), Some(key.as_bytes()), "{}: {key:?}", case.name);
            assert_eq!(read(&case.open(key), ByteRange::Whole), key.as_bytes(), "{}: {key:?}", case.name);
        }
        // Another spelling of the same characters is another key, as is an escape.
        for key in ["a b/A/ü.0", "\u{fc}", "d/quoted", "e/5"] {
            assert_eq!(case.get(key), None, "{}: {key:?}", case.name);
        }
    }
}

#[test]
fn test_many_threads_read_at_once() {
    let contents: Vec<_> = (0..8).map(|n| (format!("c/{n}"), pattern(50_000 + n * 7777))).collect();
    let objects: Vec<_> = contents.iter().map(|(key, bytes)| (key.as_str(), bytes.as_slice())).collect();
    for case in cases(&objects) {
        let shared = case.open(objects[0].0);
        thread::scope(|scope| {
            for thread in 0..8 {
                let (case, objects, shared) = (&case, &objects, &shared);
                scope.spawn(move || {
                    for round in 0..40 {
                        let (key, expected) = objects[(thread + round) % objects.len()];
                        assert!(case.get(key).as_deref() == Some(expected), "{}: {key}", case.name);
                        let start = 1000 * round + thread;
                        let range = ByteRange::Range { start: start as u64, len: 5000 };
                        assert!(read(&case.open(key), range) == expected[start..start + 5000], "{}: {key}", case.name);
                        let (_, expected) = objects[0];
                        assert!(read(shared, range) == expected[start..start + 5000], "{}: one object", case.name);
                    }
                });
            }
        });
    }
}

#[test]
fn test_an_open_object_stays_the_one_that_was_opened() {
    for case in cases(&[("c", b"old")]) {
        let object = case.open("c");
        // A snapshot is fixed when it is made: there is nothing to replace.
        match &case.kind {
            Backing::Files(_) => case.store.set("c", &[b"newer"]).expect("a write"),
            Backing::Archive(archive) => {
                let other = Fixture::new(&[("c", b"newer")], CompressionMethod::STORE);
                fs::rename(other.path(), archive.path()).expect("a rename");
            }
            Backing::Memory(_) => {}
        }
        assert_eq!(read(&object, ByteRange::Whole), b"old", "{}", case.name);
        match &case.kind {
            Backing::Files(_) => case.store.erase("c").expect("an erase"),
            Backing::Archive(archive) => fs::remove_file(archive.path()).expect("a removal"),
            Backing::Memory(_) => {}
        }
        assert_eq!(object.len().expect("a length"), 3, "{}", case.name);
        assert_eq!(read(&object, ByteRange::Whole), b"old", "{}", case.name);
    }
}

#[test]
fn test_set_and_erase_are_seen_by_the_next_call() {
    let mut writable = 0;
    for case in cases(&[("c/0", b"first")]).into_iter().filter(Case::is_writable) {
        writable += 1;
        assert_eq!(case.get("c/0").as_deref(), Some(&b"first"[..]), "{}", case.name);
        case.store.set("c/0", &[b"one ", b"", b"after another"]).expect("a write");
        assert_eq!(case.get("c/0").as_deref(), Some(&b"one after another"[..]), "{}", case.name);
        assert_eq!(case.open("c/0").len().expect("a length"), 17, "{}", case.name);
        case.store.set("c/1/0", &[]).expect("a write");
        assert_eq!(case.get("c/1/0").as_deref(), Some(&b""[..]), "{}", case.name);
        for _ in 0..2 {
            case.store.erase("c/0").expect("an object, then nothing");
            assert_eq!(case.get("c/0"), None, "{}", case.name);
        }
        case.store.erase("nowhere/at/all").expect("nothing");
        assert_eq!(case.get("c/1/0").as_deref(), Some(&b""[..]), "{}", case.name);
    }
    assert_eq!(writable, 3);
}

#[test]
fn test_set_and_erase_are_refused_where_a_store_is_only_read() {
    let mut refusing = 0;
    for case in cases(&[("c/0", b"first")]).into_iter().filter(|case| !case.is_writable()) {
        refusing += 1;
        let is_refused = |outcome: Result<()>| matches!(outcome, Err(Error { kind: Kind::Value, .. }));
        for key in ["c/0", "nowhere"] {
            assert!(is_refused(case.store.set(key, &[b"second"])), "{}: {key}", case.name);
            assert!(is_refused(case.store.erase(key)), "{}: {key}", case.name);
        }
        assert_eq!(case.get("c/0").as_deref(), Some(&b"first"[..]), "{}", case.name);
        assert_eq!(case.get("nowhere"), None, "{}", case.name);
    }
    assert_eq!(refusing, 3);
}
