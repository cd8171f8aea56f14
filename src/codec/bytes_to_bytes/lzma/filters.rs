//! Converts filter chains from plain numbers to liblzma's structures, with the defaults and refusals of Python's
//! module.

use std::ffi::c_void;

use liblzma_sys as sys;

use crate::error::{Error, Kind, Result};

/// liblzma's longest chain.
const MAX_FILTERS: usize = 4;

/// One filter: liblzma's number, and options under Python's names.
#[derive(Debug, Clone)]
pub struct Filter {
    /// liblzma's number of the filter.
    pub id: u64,
    /// Options that differ from their defaults.
    pub options: Vec<(String, u32)>,
}

/// liblzma's options of a delta filter, which the crate does not declare. Reserved fields are never read.
#[repr(C)]
struct DeltaOptions {
    kind: sys::lzma_check,
    dist: u32,
    reserved_numbers: [u32; 4],
    reserved_pointers: [*mut c_void; 2],
}

enum FilterOptions {
    Lzma(Box<sys::lzma_options_lzma>),
    Delta(Box<DeltaOptions>),
    Branch(Box<sys::lzma_options_bcj>),
}

/// A chain in liblzma's form. Its pointers lead to its own boxes, so it may be moved.
pub(super) struct FilterChain {
    filters: [sys::lzma_filter; MAX_FILTERS + 1],
    /// Kept alive for the pointers in `filters`.
    _options: Vec<FilterOptions>,
}

/// All options of `preset`.
///
/// # Errors
/// `Lzma` if there is no such preset.
pub(super) fn preset(preset: u32) -> Result<sys::lzma_options_lzma> {
    // SAFETY: all fields are integers and pointers, for which zero is valid.
    let mut options: sys::lzma_options_lzma = unsafe { std::mem::zeroed() };
    // SAFETY: a live structure, all of whose fields the call sets.
    if unsafe { sys::lzma_lzma_preset(&raw mut options, preset) } != 0 {
        return Err(Error::new(Kind::Lzma, format!("invalid compression preset: {preset}")));
    }
    Ok(options)
}

impl Filter {
    fn unknown(&self, name: &str) -> Error {
        Error::value(format!("lzma filter {:#x} has no option {name:?}", self.id))
    }

    fn lzma(&self) -> Result<sys::lzma_options_lzma> {
        let given = self.options.iter().find(|(name, _)| name == "preset");
        let mut options = preset(given.map_or(sys::LZMA_PRESET_DEFAULT, |(_, value)| *value))?;
        for (name, value) in &self.options {
            match name.as_str() {
                "preset" => {}
                "dict_size" => options.dict_size = *value,
                "lc" => options.lc = *value,
                "lp" => options.lp = *value,
                "pb" => options.pb = *value,
                "mode" => options.mode = *value as sys::lzma_mode,
                "nice_len" => options.nice_len = *value,
                "mf" => options.mf = *value as sys::lzma_match_finder,
                "depth" => options.depth = *value,
                _ => return Err(self.unknown(name)),
            }
        }
        Ok(options)
    }

    /// The one option called `expected`, or `default`.
    fn only(&self, expected: &str, default: u32) -> Result<u32> {
        match self.options.iter().find(|(name, _)| name != expected) {
            Some((name, _)) => Err(self.unknown(name)),
            None => Ok(self.options.last().map_or(default, |(_, value)| *value)),
        }
    }

    fn options(&self) -> Result<FilterOptions> {
        Ok(match self.id {
            sys::LZMA_FILTER_LZMA1 | sys::LZMA_FILTER_LZMA2 => FilterOptions::Lzma(Box::new(self.lzma()?)),
            sys::LZMA_FILTER_DELTA => FilterOptions::Delta(Box::new(DeltaOptions {
                kind: 0,
                dist: self.only("dist", 1)?,
                reserved_numbers: [0; 4],
                reserved_pointers: [std::ptr::null_mut(); 2],
            })),
            sys::LZMA_FILTER_X86..=sys::LZMA_FILTER_SPARC => {
                FilterOptions::Branch(Box::new(sys::lzma_options_bcj { start_offset: self.only("start_offset", 0)? }))
            }
            id => return Err(Error::value(format!("invalid lzma filter {id:#x}"))),
        })
    }
}

impl FilterChain {
    /// # Errors
    /// `Value` for unknown filters or options and for more than four filters, `Lzma` for an unknown preset.
    pub(super) fn new(all: &[Filter]) -> Result<Self> {
        if all.len() > MAX_FILTERS {
            return Err(Error::value(format!("{} lzma filters, expected at most {MAX_FILTERS}", all.len())));
        }
        let mut options = all.iter().map(Filter::options).collect::<Result<Vec<_>>>()?;
        let mut filters = [const { sys::lzma_filter { id: sys::LZMA_VLI_UNKNOWN, options: std::ptr::null_mut() } }; _];
        for ((to, filter), options) in filters.iter_mut().zip(all).zip(&mut options) {
            to.id = filter.id;
            to.options = match options {
                FilterOptions::Lzma(options) => (&raw mut **options).cast(),
                FilterOptions::Delta(options) => (&raw mut **options).cast(),
                FilterOptions::Branch(options) => (&raw mut **options).cast(),
            };
        }
        Ok(Self { filters, _options: options })
    }

    /// The chain for liblzma, valid as long as `self`.
    pub(super) fn as_ptr(&self) -> *const sys::lzma_filter {
        self.filters.as_ptr()
    }

    /// The options of the only filter, which the older format requires.
    ///
    /// # Errors
    /// `Value` for any other chain.
    pub(super) fn lone_lzma1(&self) -> Result<*const sys::lzma_options_lzma> {
        match self.filters[..2] {
            [sys::lzma_filter { id: sys::LZMA_FILTER_LZMA1, options }, sys::lzma_filter { id, .. }]
                if id == sys::LZMA_VLI_UNKNOWN =>
            {
                Ok(options.cast_const().cast())
            }
            _ => Err(Error::value("the older lzma format takes one LZMA1 filter and nothing else")),
        }
    }
}
