//! Parts of one stored chunk, read as `plan` says: rows of an uncompressed one, blocks of an encoded one.

use crate::codec::Chain;
use crate::codec::bytes_to_bytes::wrong_length;
use crate::error::Result;
use crate::memory::{DecodedChunk, OutBytes, Scratch, Slot};
use crate::pipeline::Projections;
use crate::pipeline::decode::Reader;
use crate::pipeline::layout::Layout;
use crate::pipeline::placement::{Placer, each_index};
use crate::pipeline::plan::{BlockPlan, RowPlan, bounds};
use crate::selection::{Axis, Lists};
use crate::store::Window;

impl Reader<'_> {
    /// Reads an uncompressed chunk: only the rows that are needed, where that is cheaper than all of it.
    ///
    /// # Errors
    /// `Value` when the object has another length than the shape needs, even if the part that is wanted exists.
    pub fn read_rows(&self, window: Window<'_>, layout: &Layout, projections: Projections<'_>) -> Result<()> {
        if window.len != layout.len as u64 {
            return Err(wrong_length(window.len as usize, layout.len));
        }
        if let Some(bytes) = window.in_memory() {
            return self.decode_raw(bytes, layout, projections);
        }
        if let Some(out) = self.direct(layout, projections) {
            return window.read_into(0, out);
        }
        if let [axes] = projections.axes {
            if self.validate {
                window.check()?;
            }
            return self.read_planned_rows(window, layout, axes, projections.lists);
        }
        let mut decoded = DecodedChunk::take();
        window.read_into(0, decoded.room(layout.len)?.into())?;
        self.scatter(&decoded, layout, projections);
        Ok(())
    }

    fn read_planned_rows(&self, window: Window<'_>, layout: &Layout, axes: &[Axis], lists: &Lists) -> Result<()> {
        let mut placer = Placer::default();
        let placement = placer.place(axes, lists, &layout.strides, self.array.strides());
        let plan = RowPlan::new(placement.axes.as_slice(), self.array.element());
        let mut decoded = DecodedChunk::take();
        let room = decoded.room(if plan.straight { 0 } else { plan.span })?;
        each_index(plan.outer(), placement.chunk, placement.array, &mut |chunk, array| {
            let start = (chunk + plan.lowest) as u64;
            if plan.straight {
                return window.read_into(start, self.array.run(array, plan.span));
            }
            window.read_into(start, OutBytes::from(&mut *room))?;
            self.array.scatter(room, -plan.lowest, array, plan.inner());
            Ok(())
        })
    }

    /// Reads an encoded chunk: only the blocks that one projection needs, where the chunk's step allows it and it pays; else
    /// all of it.
    ///
    /// # Errors
    /// As [`Reader::decode`].
    pub fn read_blocks(
        &self,
        window: Window<'_>,
        chain: &Chain,
        layout: &Layout,
        projections: Projections<'_>,
    ) -> Result<()> {
        if window.in_memory().is_none() {
            if self.validate {
                window.check()?;
            }
            if let Some(outcome) = self.read_planned_blocks(window, chain, layout, projections) {
                return outcome;
            }
        }
        let mut stored = Scratch::take(Slot::Stored);
        let bytes = window.read(&mut stored)?;
        self.decode(bytes, chain, layout, projections)
    }

    /// `None` where all has to be read.
    fn read_planned_blocks(
        &self,
        window: Window<'_>,
        chain: &Chain,
        layout: &Layout,
        projections: Projections<'_>,
    ) -> Option<Result<()>> {
        let [axes] = projections.axes else { return None };
        let mut placer = Placer::default();
        let placement = placer.place(axes, projections.lists, &layout.strides, self.array.strides());
        let (first, last) = bounds(placement.chunk, placement.axes.as_slice())?;
        let plan = BlockPlan::new(chain, layout, window.len, first..last + self.format.item_size)?;
        let mut stored = DecodedChunk::take();
        let mut fetch = || -> Result<bool> {
            let room = stored.room(plan.stored_len())?;
            window.read_into(0, OutBytes::from(&mut room[..plan.head]))?;
            let Some(parts) = plan.parts(&room[..plan.head]) else { return Ok(false) };
            for part in parts {
                window.read_into(part.start as u64, OutBytes::from(&mut room[part]))?;
            }
            Ok(true)
        };
        match fetch() {
            Ok(true) => self.decode_span(&stored, chain, layout, projections),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        }
    }
}
