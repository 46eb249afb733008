//! Notes of messages that were given back, for when they come again.

use std::collections::{HashMap, VecDeque};

use broker::{Note, Position};

/// Most notes that are kept. The oldest go first: their messages begin anew, which costs attempts and loses nothing.
const NOTES_MAX: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct Notes {
    notes: HashMap<Position, Note>,
    order: VecDeque<Position>,
}

impl Notes {
    pub(super) fn keep(&mut self, position: Position, note: Note) {
        if note == Note::default() {
            return;
        }
        if self.notes.insert(position.clone(), note).is_none() {
            self.order.push_back(position);
        }
        while self.order.len() > NOTES_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.notes.remove(&oldest);
            }
        }
    }

    /// The message is here again.
    pub(super) fn take(&mut self, position: &Position) -> Note {
        if self.notes.is_empty() {
            return Note::default();
        }
        let note = self.notes.remove(position);
        if note.is_some() {
            self.order.retain(|kept| kept != position);
        }
        note.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_bounded_and_given_once() {
        let note = |attempts| Note { attempts, first_ms: 1 };
        let mut notes = Notes::default();
        for n in 0..NOTES_MAX as u64 + 5 {
            notes.keep(Position::Number(n), note(n as u32 + 1));
        }
        assert_eq!(notes.take(&Position::Number(4)), Note::default(), "the oldest went");
        assert_eq!(notes.take(&Position::Number(5)), note(6));
        assert_eq!(notes.take(&Position::Number(5)), Note::default());
        notes.keep(Position::Number(1), Note::default());
        assert_eq!(notes.notes.len(), NOTES_MAX - 1);
        assert_eq!(notes.order.len(), notes.notes.len());
    }
}
