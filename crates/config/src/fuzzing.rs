//! Values that are written as text, for the fuzz targets: built with `--cfg fuzzing` alone.

use crate::text::Text;
use crate::{Address, Duration, Origin, Rate, Size, To, Url};

/// Reads a text as each kind of value there is. What is taken prints as what is taken again, for the same value.
pub fn values(text: &str) {
    round::<Duration>(text);
    round::<Size>(text);
    round::<Rate>(text);
    round::<Address>(text);
    round::<Url>(text);
    round::<Origin>(text);
    round::<To>(text);
}

fn round<T: Text + PartialEq + std::fmt::Debug>(text: &str) {
    match T::parse(text) {
        Ok(value) => assert_eq!(T::parse(&value.to_string()).as_ref(), Ok(&value), "{text:?} is {}", T::NOUN),
        Err(reason) => assert!(!reason.is_empty(), "{text:?} is refused as {} without a reason", T::NOUN),
    }
}
