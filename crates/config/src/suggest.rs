//! "Did you mean …": the nearest of the words that would have been right.

/// The candidate nearest to a word that is none of them, if one is near enough to be what was meant.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = normal(word);
    // One slip in three characters; a word of two characters is not guessed at.
    let allowed = (plain.len() / 3).max(usize::from(plain.len() > 2));
    candidates
        .into_iter()
        .map(|candidate| (distance(&plain, &normal(candidate)), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Case and separators are what people get wrong first, so they cost nothing: `maxAttempts` is `max_attempts`. Bounded,
/// because the distance is quadratic.
fn normal(word: &str) -> Vec<char> {
    word.chars().filter(|c| !matches!(c, '_' | '-' | '.')).flat_map(char::to_lowercase).take(64).collect()
}

/// Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours each cost one.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut row = vec![i + 1; b.len() + 1];
        for (j, to) in b.iter().enumerate() {
            let substituted = above[j] + usize::from(from != to);
            row[j + 1] = substituted.min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *from == b[j - 1] && a[i - 1] == *to {
                row[j + 1] = row[j + 1].min(before[j - 1] + 1);
            }
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn slips_are_understood_and_strangers_are_not() {
        let keys = ["max_attempts", "max_age", "initial", "topic", "to"];
        assert_eq!(nearest("maxAttempts", keys), Some("max_attempts"));
        assert_eq!(nearest("intial", keys), Some("initial"));
        assert_eq!(nearest("tpoic", keys), Some("topic"));
        assert_eq!(nearest("colour", keys), None);
        assert_eq!(nearest("x", keys), None);
    }
}
