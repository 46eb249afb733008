//! Intrusive lists: deliveries in a lane, lanes that are ready. Linking and unlinking allocate nothing.

/// No element.
pub(crate) const NONE: u32 = u32::MAX;

/// An element's neighbours in the one list that it is in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    pub(crate) next: u32,
    pub(crate) prev: u32,
}

impl Link {
    pub(crate) const LOOSE: Self = Self { next: NONE, prev: NONE };
}

/// Where a list's elements live.
pub(crate) trait Linked {
    fn link(&mut self, at: u32) -> &mut Link;
}

/// A doubly linked list of elements that live in an arena.
#[derive(Clone, Copy, Debug)]
pub(crate) struct List {
    head: u32,
    tail: u32,
    len: u32,
}

impl List {
    pub(crate) const EMPTY: Self = Self { head: NONE, tail: NONE, len: 0 };

    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    pub(crate) fn head(&self) -> Option<u32> {
        (self.head != NONE).then_some(self.head)
    }

    pub(crate) fn tail(&self) -> Option<u32> {
        (self.tail != NONE).then_some(self.tail)
    }

    pub(crate) fn push_back(&mut self, arena: &mut impl Linked, at: u32) {
        *arena.link(at) = Link { next: NONE, prev: self.tail };
        match self.tail {
            NONE => self.head = at,
            tail => arena.link(tail).next = at,
        }
        self.tail = at;
        self.len += 1;
    }

    /// Puts an element in front of one that is in the list.
    pub(crate) fn insert_before(&mut self, arena: &mut impl Linked, at: u32, next: u32) {
        let prev = std::mem::replace(&mut arena.link(next).prev, at);
        *arena.link(at) = Link { next, prev };
        match prev {
            NONE => self.head = at,
            prev => arena.link(prev).next = at,
        }
        self.len += 1;
    }

    pub(crate) fn remove(&mut self, arena: &mut impl Linked, at: u32) {
        let Link { next, prev } = std::mem::replace(arena.link(at), Link::LOOSE);
        match prev {
            NONE => self.head = next,
            prev => arena.link(prev).next = next,
        }
        match next {
            NONE => self.tail = prev,
            next => arena.link(next).prev = prev,
        }
        self.len -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Linked for Vec<Link> {
        fn link(&mut self, at: u32) -> &mut Link {
            &mut self[at as usize]
        }
    }

    fn walk(list: &List, arena: &mut impl Linked) -> Vec<u32> {
        let mut at = list.head();
        let mut seen = Vec::new();
        while let Some(element) = at {
            seen.push(element);
            at = Some(arena.link(element).next).filter(|next| *next != NONE);
        }
        seen
    }

    #[test]
    fn elements_leave_from_the_front_the_middle_and_the_back() {
        let mut arena = vec![Link::LOOSE; 5];
        let mut list = List::EMPTY;
        for at in 0..5 {
            list.push_back(&mut arena, at);
        }
        list.remove(&mut arena, 2);
        assert_eq!(walk(&list, &mut arena), [0, 1, 3, 4]);
        list.remove(&mut arena, 0);
        list.remove(&mut arena, 4);
        assert_eq!((walk(&list, &mut arena), list.tail(), list.len()), (vec![1, 3], Some(3), 2));
        list.remove(&mut arena, 1);
        list.remove(&mut arena, 3);
        assert_eq!((list.head(), list.tail(), list.len()), (None, None, 0));
    }

    #[test]
    fn elements_come_in_at_the_front_and_in_the_middle() {
        let mut arena = vec![Link::LOOSE; 4];
        let mut list = List::EMPTY;
        list.push_back(&mut arena, 0);
        list.push_back(&mut arena, 1);
        list.insert_before(&mut arena, 2, 0);
        list.insert_before(&mut arena, 3, 1);
        assert_eq!((walk(&list, &mut arena), list.len()), (vec![2, 0, 3, 1], 4));
        list.remove(&mut arena, 0);
        assert_eq!((walk(&list, &mut arena), list.tail()), (vec![2, 3, 1], Some(1)));
    }
}
