//! Claims about reads.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use super::{ByteRange, Fixture, Kind, Options, number, pattern, read, read_into};

#[test]
fn test_get_reads_every_size_with_every_hint() {
    let fixture = Fixture::new(Options::default());
    for size in [0, 1, 100, 4095, 4096, 4097, 8191, 8192, 8193, 65_536, 100_000, 3_000_000] {
        let expected = pattern(size);
        fixture.put("c/0", &expected);
        for hint in [0, 1, size.saturating_sub(1), size, size + 1, 10 * size] {
            let mut bytes = Vec::new();
            assert!(fixture.store.get("c/0", hint, &mut bytes).expect("a read"), "size {size}, hint {hint}");
            assert_eq!(bytes, expected, "size {size}, hint {hint}");
        }
    }
}

#[test]
fn test_get_reuses_the_capacity_of_the_buffer() {
    let fixture = Fixture::new(Options::default());
    fixture.put("c/0", &pattern(10_000));
    let mut bytes = Vec::with_capacity(20_000);
    let address = bytes.as_ptr();
    assert!(fixture.store.get("c/0", 10_000, &mut bytes).expect("a read"));
    assert_eq!((bytes.as_ptr(), bytes.capacity()), (address, 20_000));
}

#[test]
fn test_missing_files_directories_and_files_in_the_way_count_as_missing() {
    for options in [Options::default(), Options { direct_io: true, handle_cache: 2 }] {
        let fixture = Fixture::new(options);
        fixture.put("c/0/0", b"chunk");
        for key in ["c/1", "c/0", "c", "", "c/0/0/0", "nowhere/at/all"] {
            assert_eq!(fixture.get(key), None, "{key:?}");
            assert!(fixture.store.open(key).expect("an open").is_none(), "{key:?}");
        }
    }
}

#[test]
fn test_keys_become_paths_as_in_pathlib() {
    let fixture = Fixture::new(Options::default());
    fixture.put("a b/%41/ü.0", b"chunk");
    for key in ["a b/%41/ü.0", "a b//%41/./ü.0", "a b/%41/ü.0/", "a b/%41/ü.0/.", "a b/../a b/%41/ü.0"] {
        assert_eq!(fixture.get(key).as_deref(), Some(b"chunk".as_slice()), "{key:?}");
    }
    let absolute = fixture.path("a b/%41/ü.0");
    assert_eq!(fixture.get(absolute.to_str().expect("UTF-8")).as_deref(), Some(b"chunk".as_slice()));
    for error in [
        fixture.store.get("a\0b", 0, &mut Vec::new()).expect_err("NUL"),
        fixture.store.set("a\0b", &[]).expect_err("NUL"),
        fixture.store.erase("a\0b").expect_err("NUL"),
    ] {
        assert!(matches!(error.kind, Kind::Value));
    }
}

#[test]
fn test_ranges_end_where_the_object_ends() {
    let fixture = Fixture::new(Options::default());
    let expected = pattern(1000);
    fixture.put("c", &expected);
    let object = fixture.open("c");
    assert_eq!(object.len().expect("a length"), 1000);
    assert_eq!(read(&object, ByteRange::Whole), expected);
    for (start, len) in [(0, 1000), (0, 0), (10, 20), (990, 10), (990, 11), (1000, 5), (5000, 5), (3, u64::MAX)] {
        let wanted: Vec<_> = expected.iter().copied().skip(start).take(len as usize).collect();
        let start = start as u64;
        assert_eq!(read(&object, ByteRange::Range { start, len }), wanted, "{start} {len}");
    }
    assert_eq!(read(&object, ByteRange::Range { start: u64::MAX, len: u64::MAX }), b"");
    for len in [0, 1, 999, 1000, 1001, usize::MAX] {
        assert_eq!(read(&object, ByteRange::Suffix(len as u64)), expected[1000 - len.min(1000)..], "{len}");
    }
}

#[test]
fn test_a_range_of_a_huge_length_allocates_no_more_than_the_object() {
    let fixture = Fixture::new(Options::default());
    fixture.put("c", &pattern(1000));
    let mut bytes = Vec::new();
    fixture.open("c").read(ByteRange::Range { start: 10, len: 1 << 62 }, &mut bytes).expect("a read");
    assert!(bytes.capacity() < 4096, "{}", bytes.capacity());
}

#[test]
fn test_a_hint_beyond_all_memory_is_a_memory_error() {
    let fixture = Fixture::new(Options::default());
    fixture.put("c", b"chunk");
    let error = fixture.store.get("c", usize::MAX / 2, &mut Vec::new()).expect_err("no such memory");
    assert!(matches!(error.kind, Kind::Memory), "{error:?}");
}

#[test]
fn test_read_into_is_exact_or_names_both_lengths() {
    let fixture = Fixture::new(Options::default());
    let expected = pattern(1000);
    fixture.put("c", &expected);
    let object = fixture.open("c");
    assert_eq!(read_into(&object, 7, 993).expect("a read"), expected[7..]);
    assert_eq!(read_into(&object, 5000, 0).expect("nothing to read"), b"");
    for (start, len, got) in [(7, 994, 993), (1000, 1, 0), (u64::MAX, 5, 0), (1 << 63, 5, 0)] {
        let error = read_into(&object, start, len).expect_err("too short");
        assert!(matches!(error.kind, Kind::Value));
        assert!(error.message.contains(&format!("got {got} bytes at offset {start}, expected {len}")), "{error}");
    }
}

#[test]
fn test_offsets_beyond_four_gibibytes_are_read() {
    for direct_io in [false, true] {
        let fixture = Fixture::new(Options { direct_io, ..Options::default() });
        let start = (5 << 30) + 123;
        fixture.put("c", b"");
        let file = File::options().write(true).open(fixture.path("c")).expect("a file");
        file.write_all_at(b"far away", start).expect("a sparse file");
        let object = fixture.open("c");
        assert_eq!(object.len().expect("a length"), start + 8);
        assert_eq!(read(&object, ByteRange::Suffix(8)), b"far away");
        assert_eq!(read(&object, ByteRange::Range { start: start - 2, len: 100 }), b"\0\0far away");
        assert_eq!(read_into(&object, start + 4, 4).expect("a read"), b"away");
    }
}

#[test]
fn test_an_open_object_outlives_its_key() {
    let fixture = Fixture::new(Options::default());
    fixture.put("c", b"old");
    let object = fixture.open("c");
    fixture.store.set("c", &[b"newer"]).expect("a write");
    assert_eq!(read(&object, ByteRange::Whole), b"old");
    fixture.store.erase("c").expect("an erase");
    assert_eq!(read(&object, ByteRange::Whole), b"old");
}

#[test]
fn test_errors_keep_the_errno_and_name_the_path() {
    let fixture = Fixture::new(Options::default());
    fixture.put("c", b"chunk");
    let long = "x".repeat(300);
    let error = fixture.store.get(&long, 0, &mut Vec::new()).expect_err("too long a name");
    assert!(error.message.contains(&long));
    assert_eq!(number::<()>(Err(error)), Some(libc::ENAMETOOLONG));
    std::os::unix::fs::symlink("loop", fixture.path("loop")).expect("a link");
    assert_eq!(number(fixture.store.open("loop")), Some(libc::ELOOP));
    assert!(fs::exists(fixture.path("c")).expect("a look"));
}
