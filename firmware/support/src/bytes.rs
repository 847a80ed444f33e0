//! Copying and filling memory in as few bytes of code as do it well. These symbols take the place of those that the
//! compiler brings along; whatever calls them, calls these.

core::arch::global_asm!(include_str!("bytes.s"), options(raw));
