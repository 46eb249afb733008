//! From a key's digest to its lane: open addressing over lane numbers alone, four bytes a place, never iterated.

use crate::list::NONE;

const PLACES_MIN: usize = 64;

/// Linear probing with backward-shift deletion (Knuth's algorithm R), so that no tombstones pile up. The keys stand in
/// the lanes; every method is given the way from a lane to its key.
#[derive(Debug, Default)]
pub(crate) struct Table {
    places: Vec<u32>,
    len: usize,
}

impl Table {
    pub(crate) fn find(&self, key: u128, key_of: impl Fn(u32) -> u128) -> Option<u32> {
        if self.places.is_empty() {
            return None;
        }
        let mut at = self.home(key);
        loop {
            match self.places[at] {
                NONE => return None,
                lane if key_of(lane) == key => return Some(lane),
                _ => at = self.after(at),
            }
        }
    }

    /// Adds a lane whose key is not there yet.
    pub(crate) fn insert(&mut self, lane: u32, key_of: impl Fn(u32) -> u128) {
        if (self.len + 1) * 4 > self.places.len() * 3 {
            self.grow(&key_of);
        }
        self.place(lane, &key_of);
        self.len += 1;
    }

    /// Removes a lane that is there.
    pub(crate) fn remove(&mut self, lane: u32, key_of: impl Fn(u32) -> u128) {
        let mut hole = self.home(key_of(lane));
        while self.places[hole] != lane {
            debug_assert_ne!(self.places[hole], NONE, "only lanes that are there are removed");
            hole = self.after(hole);
        }
        let mut at = self.after(hole);
        while self.places[at] != NONE {
            let home = self.home(key_of(self.places[at]));
            // It may fill the hole only if its home does not lie (cyclically) behind the hole.
            if self.distance(home, at) >= self.distance(hole, at) {
                self.places[hole] = self.places[at];
                hole = at;
            }
            at = self.after(at);
        }
        self.places[hole] = NONE;
        self.len -= 1;
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.places.capacity()
    }

    fn grow(&mut self, key_of: &impl Fn(u32) -> u128) {
        let size = (self.places.len() * 2).max(PLACES_MIN);
        let old = std::mem::replace(&mut self.places, vec![NONE; size]);
        for lane in old.into_iter().filter(|lane| *lane != NONE) {
            self.place(lane, key_of);
        }
    }

    fn place(&mut self, lane: u32, key_of: &impl Fn(u32) -> u128) {
        let mut at = self.home(key_of(lane));
        while self.places[at] != NONE {
            at = self.after(at);
        }
        self.places[at] = lane;
    }

    fn home(&self, key: u128) -> usize {
        // Fibonacci hashing over the folded digest: good high bits even where a caller's digests are small numbers.
        let folded = (key as u64) ^ ((key >> 64) as u64).rotate_left(32);
        (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize & (self.places.len() - 1)
    }

    fn after(&self, at: usize) -> usize {
        (at + 1) & (self.places.len() - 1)
    }

    fn distance(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & (self.places.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_agrees_with_a_plain_search_through_growth_and_removal() {
        let mut random = fastrand::Rng::with_seed(7);
        // Few distinct homes, so that runs collide and wrap around.
        let keys: Vec<u128> = (0..400).map(|i| u128::from(random.u64(..)) << 64 | i).collect();
        let key_of = |lane: u32| keys[lane as usize];
        let (mut table, mut present) = (Table::default(), vec![false; keys.len()]);
        for _ in 0..20_000 {
            let lane = random.usize(..keys.len());
            if present[lane] {
                table.remove(lane as u32, key_of);
            } else {
                table.insert(lane as u32, key_of);
            }
            present[lane] = !present[lane];
            let probe = random.usize(..keys.len());
            let expected = present[probe].then_some(probe as u32);
            assert_eq!(table.find(keys[probe], key_of), expected, "key {probe}");
        }
    }
}
