//! Random axes over buffers that are exactly as long as what is walked, so that a step outside shows.

use crate::memory::{CopyAxis, Element, Swap, Walk};

/// A small generator, the same in every run.
pub struct Random(pub u64);

impl Random {
    /// Anything below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    /// One of `choices`.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// Any bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.below(256) as u8).collect()
    }

    /// Lengths of up to five axes, zero among them, with few elements in all.
    pub fn shape(&mut self) -> Vec<usize> {
        let axes = self.below(6);
        let longest = [1, 300, 90, 20, 8, 5][axes] / if cfg!(miri) { 2 } else { 1 };
        let mut shape: Vec<usize> = (0..axes).map(|_| 1 + self.below(longest)).collect();
        if axes > 0 && self.below(40) == 0 {
            shape[self.0 as usize % axes] = 0;
        }
        shape
    }

    /// One side of a copy. Indices of a source may all reach one place; those of a target only by a list.
    pub fn one_side(&mut self, shape: &[usize], size: usize, source: bool) -> Side {
        let mut order: Vec<usize> = (0..shape.len()).collect();
        for at in (1..order.len()).rev() {
            if self.below(2) == 0 {
                order.swap(at, self.0 as usize % at);
            }
        }
        let lists = self.below(3) == 0;
        let mut found = Side { walks: vec![(0, None); shape.len()], base: 0, len: size };
        let mut step = size;
        for axis in order.into_iter().rev() {
            let len = shape[axis];
            let spread = step * self.pick(&[1, 1, 1, 2, 3]) + self.pick(&[0, 0, 0, 1]);
            let room = len.max(1) + self.below(3);
            let extent = (room - 1) * spread;
            found.walks[axis] = match self.below(8) {
                0 => {
                    found.base += spread * (len.max(1) - 1);
                    (-(spread as isize), None)
                }
                1 if source => (0, None),
                2..=4 if lists => (0, Some((0..len).map(|_| (self.below(room) * spread) as isize).collect())),
                _ => (spread as isize, None),
            };
            found.len += extent;
            step = spread * room;
        }
        found
    }

    /// A width and a swap that suits it.
    pub fn element(&mut self) -> Element {
        let size: usize = self.pick(&[1, 2, 3, 4, 4, 7, 8, 8, 12, 16, 31, 40, 70, 300]);
        let swap = match self.below(4) {
            0 | 1 => Swap::None,
            2 => {
                let units: Vec<usize> =
                    [1, 2, 3, 4, 8, 16].into_iter().filter(|unit| size.is_multiple_of(*unit)).collect();
                Swap::Uniform(self.pick(&units))
            }
            _ => {
                let mut fields = Vec::new();
                let mut at = 0;
                while at < size {
                    let (unit, count) = (self.pick(&[1, 2, 4, 8, 3]), 1 + self.below(3));
                    if at + unit * count <= size {
                        fields.push((at, unit, count));
                    }
                    at += unit * count + self.below(3);
                }
                Swap::Fields(fields)
            }
        };
        Element { size, swap }
    }
}

/// One side of a copy.
pub struct Side {
    walks: Vec<(isize, Option<Vec<isize>>)>,
    /// Where index 0 of every axis is.
    pub base: usize,
    /// Bytes that the walk may touch.
    pub len: usize,
}

impl Side {
    fn walk(&self, axis: usize) -> Walk<'_> {
        match &self.walks[axis] {
            (_, Some(offsets)) => Walk::Offsets(offsets),
            (stride, None) => Walk::Stride(*stride),
        }
    }

    /// The offsets of all elements, C order.
    pub fn offsets(&self, shape: &[usize]) -> Vec<usize> {
        let mut all = vec![self.base as isize];
        for (axis, &len) in shape.iter().enumerate() {
            let steps = (0..len).map(|index| match &self.walks[axis] {
                (_, Some(offsets)) => offsets[index],
                (stride, None) => stride * index as isize,
            });
            let steps: Vec<isize> = steps.collect();
            all = all.iter().flat_map(|start| steps.iter().map(move |step| start + step)).collect();
        }
        all.into_iter().map(|offset| offset as usize).collect()
    }
}

/// The axes of a copy.
pub fn axes<'a>(shape: &[usize], from: &'a Side, to: &'a Side) -> Vec<CopyAxis<'a>> {
    let axis = |(axis, &len)| CopyAxis { len, from: from.walk(axis), to: to.walk(axis) };
    shape.iter().enumerate().map(axis).collect()
}

/// `one` with its groups reversed, the slow way.
pub fn reversed(one: &[u8], swap: &Swap) -> Vec<u8> {
    let fields = match swap {
        Swap::None => vec![],
        Swap::Uniform(unit) => vec![(0, *unit, one.len() / unit)],
        Swap::Fields(fields) => fields.clone(),
    };
    let mut other = one.to_vec();
    for (offset, unit, count) in fields {
        for group in 0..count {
            let start = offset + group * unit;
            for byte in 0..unit {
                other[start + byte] = one[start + unit - 1 - byte];
            }
        }
    }
    other
}
