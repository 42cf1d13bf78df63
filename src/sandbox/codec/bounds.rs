//! What a value may take of the caller: a few hostile bytes can stand for one that is far larger than they
//! are, or be nested until the stack ends. What is counted is what is set aside for the value, for any
//! use that its type makes of it: boxes, tables, lists that grow.

use std::any::type_name;

use super::CodecError;

/// How deeply a value may be nested: fields, elements and variants in each other. Each level takes stack, up
/// to some kilobytes in a debug build, and a thread may have as little as 2 MiB of it.
pub(super) const MAX_DEPTH: u32 = 256;
/// Bytes of stack from which on nothing goes deeper: what a level takes depends on the type, whose values may
/// lie on the stack several times, and on the build. Half of what a thread of std's has.
const MAX_STACK: usize = 1 << 20;
/// Bytes of memory that a value may take, however long it is.
const MAX_MEMORY: u64 = 8 * crate::sandbox::RESULT_LIMIT;
/// The same, of a short value: this much,
const BASE_MEMORY: u64 = 8 << 20;
/// and for every byte this much more.
const MEMORY_PER_BYTE: u64 = 128;
/// What the allocator takes besides, or sets aside at least.
const ALLOCATION: u64 = 32;
/// How many times an element's size a list or table takes of it: it doubles, and has the old half while it
/// does.
const GROWTH: u64 = 4;
/// The same, of the first element: a node of a tree has room for eleven.
const FIRST: u64 = 12;

/// Bytes of memory that a value of this encoded length may take up.
pub(super) fn memory(length: usize) -> u64 {
    (length as u64).saturating_mul(MEMORY_PER_BYTE).saturating_add(BASE_MEMORY).min(MAX_MEMORY)
}

/// Where the next value goes: a type asks for values of other types where it keeps them elsewhere.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    name: &'static str,
    size: usize,
}

impl Place {
    pub(super) fn of<T>() -> Self {
        Self { name: type_name::<T>(), size: size_of::<T>() }
    }

    /// Whether a `T` for this place may be in memory of its own: one that is no larger than a pointer could
    /// lie here itself as well.
    fn elsewhere<T>(self) -> bool {
        self.name != type_name::<T>() && (size_of::<T>() > self.size || self.size == size_of::<usize>())
    }
}

/// What is left.
#[derive(Debug)]
pub(super) struct Budget {
    depth: u32,
    /// Where the stack pointer was at first, and how far from there it may go.
    stack: (usize, usize),
    memory: u64,
    limit: u64,
}

impl Budget {
    /// For so many bytes of a sandbox's.
    pub(super) fn for_length(length: usize) -> Self {
        let limit = memory(length);
        Self { depth: MAX_DEPTH, stack: (stack_pointer(), MAX_STACK), memory: limit, limit }
    }

    pub(super) fn unlimited() -> Self {
        Self { depth: u32::MAX, stack: (0, usize::MAX), memory: u64::MAX, limit: u64::MAX }
    }

    /// One level deeper; [`up`](Self::up) ends it.
    pub(super) fn down(&mut self) -> Result<(), CodecError> {
        match self.depth.checked_sub(1) {
            Some(left) if self.stack.0.abs_diff(stack_pointer()) <= self.stack.1 => {
                self.depth = left;
                Ok(())
            }
            _ => Err(CodecError::Depth { limit: MAX_DEPTH }),
        }
    }

    pub(super) fn up(&mut self) {
        self.depth += 1;
    }

    pub(super) fn charge(&mut self, bytes: u64) -> Result<(), CodecError> {
        self.memory = self.memory.checked_sub(bytes).ok_or(CodecError::Memory { limit: self.limit })?;
        Ok(())
    }

    /// A `T` for a place.
    pub(super) fn value<T>(&mut self, place: Place) -> Result<(), CodecError> {
        if place.elsewhere::<T>() { self.charge(size_of::<T>() as u64 + ALLOCATION) } else { Ok(()) }
    }

    /// A text, or bytes.
    pub(super) fn text(&mut self, bytes: &[u8]) -> Result<(), CodecError> {
        self.charge(bytes.len() as u64 + ALLOCATION)
    }

    /// An element of a list, or a key or value of a table.
    pub(super) fn element<T>(&mut self, first: bool) -> Result<(), CodecError> {
        let size = size_of::<T>() as u64;
        if first { self.charge(FIRST * size + ALLOCATION) } else { self.charge(GROWTH * size) }
    }
}

/// The stack pointer itself: the address sanitizer keeps locals elsewhere.
#[cfg(not(miri))]
#[inline(always)]
fn stack_pointer() -> usize {
    let pointer: usize;
    // SAFETY: reads a register.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        std::arch::asm!("mov {}, rsp", out(reg) pointer, options(nomem, nostack, preserves_flags));
        #[cfg(target_arch = "aarch64")]
        std::arch::asm!("mov {}, sp", out(reg) pointer, options(nomem, nostack, preserves_flags));
    }
    pointer
}

/// Miri has neither assembly nor a stack that ends.
#[cfg(miri)]
fn stack_pointer() -> usize {
    0
}
