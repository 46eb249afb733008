//! The `Timestamp` type: RFC 3339, section 5.6.

/// Whether `text` is an RFC 3339 `date-time`: a date that exists, a time of day, an offset; a leap second only where
/// one can be.
pub(crate) fn is_valid(text: &str) -> bool {
    parse(text.as_bytes()).is_some()
}

fn parse(text: &[u8]) -> Option<()> {
    // date-time = full-date "T" full-time, with "T" and "Z" in either case. All fields have a fixed width up to the
    // seconds.
    let (fixed, rest) = text.split_at_checked(19)?;
    let (year, month, day) = (number(&fixed[..4])?, number(&fixed[5..7])?, number(&fixed[8..10])?);
    let (hour, minute, second) = (number(&fixed[11..13])?, number(&fixed[14..16])?, number(&fixed[17..19])?);
    let marks = [fixed[4], fixed[7], fixed[10].to_ascii_uppercase(), fixed[13], fixed[16]];
    if marks != *b"--T::" || !(1..=12).contains(&month) || !(1..=days_in(year, month)).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let offset_minutes = offset(fraction(rest)?)?;
    (second < 60 || ends_a_month(year, month, day, (hour * 60 + minute) - offset_minutes)).then_some(())
}

/// Skips time-secfrac = "." 1*DIGIT, where there is one.
fn fraction(rest: &[u8]) -> Option<&[u8]> {
    let Some(digits) = rest.strip_prefix(b".") else { return Some(rest) };
    let count = digits.iter().take_while(|b| b.is_ascii_digit()).count();
    (count > 0).then(|| &digits[count..])
}

/// time-offset = "Z" / ("+" / "-") time-hour ":" time-minute, in minutes.
fn offset(text: &[u8]) -> Option<i32> {
    match text {
        b"Z" | b"z" => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hour, minute) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?);
            let minutes = hour * 60 + minute;
            (hour <= 23 && minute <= 59).then_some(if *sign == b'-' { -minutes } else { minutes })
        }
        _ => None,
    }
}

/// Whether this local date, at `utc_minute` counted from its midnight, is the last minute of a month in UTC: where
/// RFC 3339, section 5.7, allows second 60.
fn ends_a_month(year: i32, month: i32, day: i32, utc_minute: i32) -> bool {
    if utc_minute.rem_euclid(24 * 60) != 24 * 60 - 1 {
        return false;
    }
    match utc_minute.div_euclid(24 * 60) {
        // In UTC it is still the day before: the local date has to be a first.
        -1 => day == 1,
        0 => day == days_in(year, month),
        // In UTC it is the day after, which has to be a last.
        _ => day + 1 == days_in(year, month),
    }
}

fn days_in(year: i32, month: i32) -> i32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

fn number(digits: &[u8]) -> Option<i32> {
    digits.iter().try_fold(0, |n, b| b.is_ascii_digit().then(|| n * 10 + i32::from(b - b'0')))
}

/// A time in milliseconds since the Unix epoch as RFC 3339 writes it, in UTC with milliseconds; `None` beyond the years
/// that it can write.
pub fn rfc3339(ms: i64) -> Option<String> {
    let (days, ms) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    let (year, month, day) = civil(days);
    let (seconds, ms) = (ms / 1000, ms % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    (0..=9999)
        .contains(&year)
        .then(|| format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z"))
}

/// The date of a day counted from 1970-01-01, in the proleptic Gregorian calendar. Years are counted from March, so that
/// a leap day ends one, in eras of 400 years, which all have the same length.
fn civil(days: i64) -> (i64, i64, i64) {
    const ERA_DAYS: i64 = 146_097;
    /// From 0000-03-01 to 1970-01-01.
    const EPOCH: i64 = 719_468;
    let (era, day) = ((days + EPOCH).div_euclid(ERA_DAYS), (days + EPOCH).rem_euclid(ERA_DAYS));
    let year = (day - day / 1_460 + day / 36_524 - day / (ERA_DAYS - 1)) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // Months from March have 31, 30, 31, 30, 31 days, again and again: 153 in five.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let january = month >= 10;
    (era * 400 + year + i64::from(january), if january { month - 9 } else { month + 3 }, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_those_of_the_calendar() {
        for (ms, text) in [
            (0, Some("1970-01-01T00:00:00.000Z")),
            (-1, Some("1969-12-31T23:59:59.999Z")),
            (951_782_400_000, Some("2000-02-29T00:00:00.000Z")),
            (4_107_542_399_999, Some("2100-02-28T23:59:59.999Z")),
            (4_107_542_400_000, Some("2100-03-01T00:00:00.000Z")),
            (i64::MAX, None),
            (i64::MIN, None),
        ] {
            assert_eq!(rfc3339(ms).as_deref(), text, "{ms}");
            assert!(text.is_none_or(is_valid), "{text:?}");
        }
    }

    #[test]
    fn what_rfc_3339_writes_is_a_timestamp() {
        for good in [
            "1985-04-12T23:20:50.52Z",
            "1996-12-19T16:39:57-08:00",
            "1937-01-01T12:00:27.87+00:20",
            "2026-11-23t14:33:08z",
            "2024-02-29T00:00:00-00:00",
            "2000-02-29T23:59:59.123456789012345678+23:59",
            "0000-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
        ] {
            assert!(is_valid(good), "{good}");
        }
    }

    #[test]
    fn a_leap_second_is_taken_where_a_month_ends_in_utc() {
        for good in [
            "1990-12-31T23:59:60Z",
            "1990-12-31T15:59:60-08:00",
            "1991-01-01T07:59:60.5+08:00",
            "2016-06-30T23:59:60Z",
        ] {
            assert!(is_valid(good), "{good}");
        }
        for bad in [
            "1990-12-31T12:00:60Z",
            "1990-12-30T23:59:60Z",
            "1990-12-31T23:59:60+01:00",
            "1990-12-31T23:59:61Z",
        ] {
            assert!(!is_valid(bad), "{bad}");
        }
    }

    #[test]
    fn nothing_else_is() {
        for bad in [
            "",
            "now",
            "2026-11-23",
            "2026-11-23T14:33Z",
            "2026-11-23T14:33:08",
            "2026-11-23 14:33:08Z",
            "2026-11-23T14:33:08X",
            "2026-11-23T14:33:08+1",
            "2026-11-23T14:33:08+01",
            "2026-11-23T14:33:08+0100",
            "2026-11-23T14:33:08+24:00",
            "2026-11-23T14:33:08+01:60",
            "2026-11-23T14:33:08+aa:00",
            "2026-11-23T14:33:08.Z",
            "2026-11-23T14:33:08,5Z",
            "2026-11-23T14:33:08ZZ",
            "2026-11-23T24:00:00Z",
            "2026-11-23T14:60:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-11-31T00:00:00Z",
            "2026-11-00T00:00:00Z",
            "2025-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "26-11-23T14:33:08Z",
            "+026-11-23T14:33:08Z",
            "2026/11/23T14:33:08Z",
            " 2026-11-23T14:33:08Z",
            "２026-11-23T14:33:08Z",
        ] {
            assert!(!is_valid(bad), "{bad}");
        }
    }
}
