//! Rounds: the sides of a benchmark take turns, and the median of their rounds is what is told.

use anyhow::Result;

/// One contender of a benchmark.
pub(crate) trait Side {
    /// Does the work once and tells what it took.
    fn round(&mut self) -> Result<Sample>;
}

/// A side that is set up, or why it could not be.
pub(crate) struct Prepared {
    pub(crate) label: &'static str,
    pub(crate) side: Result<Box<dyn Side>>,
}

impl Prepared {
    pub(crate) fn new<S: Side + 'static>(label: &'static str, side: Result<S>) -> Self {
        Self { label, side: side.map(|side| Box::new(side) as Box<dyn Side>) }
    }
}

/// What a round is told by. Units last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Figure {
    /// CPU of the side's process, user and system, for each event.
    CpuPerEventUs,
    EventsPerSecond,
    LatencyP50Ms,
    LatencyP99Ms,
    ResidentMb,
    PeakMb,
    /// What a data directory takes.
    DiskMb,
    /// From the start of the process to its first `/readyz` that says 200.
    ReadyMs,
    /// From a command to the first event delivered.
    DeliveredS,
}

pub(crate) type Sample = Vec<(Figure, f64)>;

/// All rounds of one figure.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Series {
    pub(crate) figure: Figure,
    pub(crate) rounds: Vec<f64>,
}

impl Series {
    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.rounds.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        match sorted.len() {
            0 => f64::NAN,
            length if length % 2 == 1 => sorted[middle],
            _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
        }
    }

    pub(crate) fn min(&self) -> f64 {
        self.rounds.iter().copied().fold(f64::INFINITY, f64::min)
    }

    pub(crate) fn max(&self) -> f64 {
        self.rounds.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }
}

/// What came of a side.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) label: &'static str,
    /// Of each figure that any round told, or why there are none.
    pub(crate) series: Result<Vec<Series>>,
}

impl Measured {
    pub(crate) fn median(&self, figure: Figure) -> Option<f64> {
        let series = self.series.as_ref().ok()?;
        series.iter().find(|series| series.figure == figure).map(Series::median)
    }
}

/// Runs so many rounds of all sides, alternating: first of each, second of each. A side that fails is left out of the
/// rounds that follow; the others go on. `told` hears of every round.
pub(crate) fn alternate(
    sides: Vec<Prepared>,
    rounds: usize,
    mut told: impl FnMut(&'static str, usize, &Result<Sample>),
) -> Vec<Measured> {
    let mut measured = Vec::new();
    let mut standing = Vec::new();
    for Prepared { label, side } in sides {
        let (side, series) = match side {
            Ok(side) => (Some(side), Ok(Vec::new())),
            Err(error) => (None, Err(error)),
        };
        standing.push(side);
        measured.push(Measured { label, series });
    }
    for round in 1..=rounds {
        for (side, measured) in standing.iter_mut().zip(&mut measured) {
            let Some(running) = side else { continue };
            let sample = running.round();
            told(measured.label, round, &sample);
            match (sample, &mut measured.series) {
                (Ok(sample), Ok(series)) => add(series, sample),
                (Err(error), series) => {
                    *series = Err(error);
                    *side = None;
                }
                (Ok(_), Err(_)) => {}
            }
        }
    }
    measured
}

fn add(series: &mut Vec<Series>, sample: Sample) {
    for (figure, value) in sample {
        match series.iter_mut().find(|series| series.figure == figure) {
            Some(series) => series.rounds.push(value),
            None => series.push(Series { figure, rounds: vec![value] }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use anyhow::bail;

    use super::*;

    struct Scripted {
        name: &'static str,
        values: Vec<f64>,
        order: Rc<RefCell<Vec<&'static str>>>,
    }

    impl Side for Scripted {
        fn round(&mut self) -> Result<Sample> {
            self.order.borrow_mut().push(self.name);
            match self.values.pop() {
                Some(value) => Ok(vec![(Figure::CpuPerEventUs, value)]),
                None => bail!("out of values"),
            }
        }
    }

    #[test]
    fn sides_take_turns_and_the_median_is_told() {
        let order = Rc::default();
        let side = |name, values: &[f64]| {
            Prepared::new(name, Ok(Scripted { name, values: values.to_vec(), order: Rc::clone(&order) }))
        };
        let sides = vec![side("a", &[9.0, 1.0, 2.0]), side("b", &[5.0, 5.0, 7.0])];
        let measured = alternate(sides, 3, |_, _, _| {});
        assert_eq!(*order.borrow(), ["a", "b", "a", "b", "a", "b"]);
        assert_eq!(measured[0].median(Figure::CpuPerEventUs), Some(2.0));
        assert_eq!(measured[1].median(Figure::CpuPerEventUs), Some(5.0));
        assert_eq!(measured[0].median(Figure::PeakMb), None);
    }

    #[test]
    fn a_side_that_fails_does_not_stop_the_others() {
        let order = Rc::default();
        let side = |name, values: &[f64]| {
            Prepared::new(name, Ok(Scripted { name, values: values.to_vec(), order: Rc::clone(&order) }))
        };
        let absent = Prepared::new::<Scripted>("absent", Err(anyhow::anyhow!("no such thing")));
        let measured =
            alternate(vec![side("a", &[1.0]), absent, side("b", &[1.0, 2.0, 3.0])], 3, |_, _, _| {});
        assert_eq!(*order.borrow(), ["a", "b", "a", "b", "b"]);
        assert!(measured[0].series.is_err() && measured[1].series.is_err());
        assert_eq!(measured[2].median(Figure::CpuPerEventUs), Some(2.0));
    }
}
