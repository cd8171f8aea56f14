//! Emptiness, against zarr-python 3.4.2's own comparison: `emptiness.txt` has a fill value a line, with elements that
//! equal it and elements that do not.

use crate::memory::{Equality, Field, FillTest, Leaf, is_empty};

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal")).collect()
}

fn equality(name: &str) -> Equality {
    let field = |offset, size, count, leaf| Field { offset, size, count, leaf };
    match name {
        "f2" => Equality::FloatNan { unit: 2 },
        "f4" => Equality::FloatNan { unit: 4 },
        "f8" => Equality::FloatNan { unit: 8 },
        "c8" => Equality::Complex { unit: 4 },
        "c16" => Equality::Complex { unit: 8 },
        "bool" => Equality::Bool,
        // {f: f4 at 0, i: i2 at 4, c: (2,) complex64 at 8, t: datetime64 at 24, s: S3 at 32}, 40 bytes
        "struct" => Equality::Fields(vec![
            field(0, 4, 1, Leaf::Float { unit: 4 }),
            field(4, 2, 1, Leaf::Bits),
            field(8, 8, 2, Leaf::Float { unit: 4 }),
            field(24, 8, 1, Leaf::Time),
            field(32, 3, 1, Leaf::Bits),
        ]),
        _ => Equality::Bits,
    }
}

#[test]
fn elements_equal_the_fill_value_exactly_where_zarr_says_so() {
    for line in include_str!("emptiness.txt").lines() {
        let [name, order, fill, equal, different] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("five columns: {line}")
        };
        let fill_test = FillTest::new(&bytes(fill), &equality(name), order == ">");
        for (elements, expected) in [(equal, true), (different, false)] {
            for element in elements.split(',').filter(|element| *element != "-") {
                let element = bytes(element);
                assert_eq!(is_empty(&element, &fill_test), expected, "{name} {order} {fill}: {element:02x?}");
                if expected {
                    assert!(is_empty(&element.repeat(1000), &fill_test));
                }
            }
        }
    }
}

#[test]
fn one_element_that_differs_is_found_wherever_it_is() {
    let nan = f32::NAN.to_be_bytes();
    let fill_tests = [
        (vec![5; 4], FillTest::new(&[5; 4], &Equality::Bits, false)),
        (vec![5; 12], FillTest::new(&[5; 12], &Equality::Bits, false)),
        (vec![1], FillTest::new(&[1], &Equality::Bool, false)),
        (vec![0; 16], FillTest::new(&[0; 16], &Equality::Complex { unit: 8 }, false)),
        (nan.to_vec(), FillTest::new(&nan, &Equality::FloatNan { unit: 4 }, true)),
        (nan.repeat(2), FillTest::new(&nan.repeat(2), &Equality::Complex { unit: 4 }, true)),
    ];
    for (fill, fill_test) in fill_tests {
        let count = 300;
        let mut chunk = fill.repeat(count);
        assert!(is_empty(&chunk, &fill_test));
        for at in (0..count).step_by(if cfg!(miri) { 50 } else { 1 }) {
            let element = at * fill.len()..(at + 1) * fill.len();
            // All zeros differ from each of the fills, or from a zero by one bit.
            chunk[element.clone()].fill(0);
            chunk[at * fill.len()] = u8::from(fill[0] == 0);
            assert!(!is_empty(&chunk, &fill_test), "{fill:?} at {at}");
            chunk[element].copy_from_slice(&fill);
        }
    }
}

#[test]
fn nothing_equals_never_but_a_chunk_without_elements() {
    let never = FillTest::new(&[0; 4], &Equality::Never, false);
    assert!(!is_empty(&[0; 8], &never));
    assert!(is_empty(&[], &never));
    assert!(is_empty(&[], &FillTest::new(&[], &Equality::Bits, false)));
}
