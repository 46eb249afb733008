use std::io;

/// The longest file name that all usual file systems take: a log's directory has no suffix.
pub(crate) const LOG_BYTES_MAX: usize = 255;

/// The same, less the longest suffix of a settle log's files.
pub(crate) const SETTLE_LOG_BYTES_MAX: usize = LOG_BYTES_MAX - ".quarantined".len();

/// A name as a file name of so many bytes at most: what is not plain is percent-encoded, so that every name has a file
/// name of its own and none leaves its directory.
pub(crate) fn encode(name: &str, bytes_max: usize) -> io::Result<String> {
    let mut out = String::with_capacity(name.len());
    for (at, byte) in name.bytes().enumerate() {
        let plain = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') || (byte == b'.' && at > 0);
        if plain {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02x}"));
        }
    }
    if out.is_empty() || out.len() > bytes_max {
        let problem =
            format!("the name {name:?} is empty or too long: a file name of at most {bytes_max} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidFilename, problem));
    }
    Ok(out)
}

/// `None`: not a name that [`encode`] made.
pub(crate) fn decode(file: &str) -> Option<String> {
    let mut out = Vec::with_capacity(file.len());
    let mut bytes = file.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let hex = [bytes.next()?, bytes.next()?];
            out.push(u8::from_str_radix(std::str::from_utf8(&hex).ok()?, 16).ok()?);
        } else {
            out.push(byte);
        }
    }
    let name = String::from_utf8(out).ok()?;
    (encode(&name, LOG_BYTES_MAX).ok()? == file).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_file_name_of_its_own_and_none_leaves_the_directory() {
        for name in ["orders.created", "../etc", ".hidden", "a/b", "Ä", "100%", "a%2fb", "dev.orders.billing"]
        {
            let file = encode(name, LOG_BYTES_MAX).unwrap();
            assert!(!file.contains('/') && !file.starts_with('.'), "{file}");
            assert_eq!(decode(&file).as_deref(), Some(name));
        }
        assert!(encode("", LOG_BYTES_MAX).is_err());
        assert!(encode(&"x".repeat(255), LOG_BYTES_MAX).is_ok());
        assert!(encode(&"x".repeat(256), LOG_BYTES_MAX).is_err());
        assert_eq!(decode("%zz"), None);
        assert_eq!(decode("%41"), None, "a plain byte is never encoded, so this is no name of ours");
    }
}
