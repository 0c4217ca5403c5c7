//! Owns idempotency keys: what one is, and the digest that tells a repetition from a reuse.

use crate::model::{Code, Failure, IdempotencyKey, Write};

/// The longest key, in bytes.
const LONGEST: usize = 200;

/// The text of an idempotency key.
///
/// # Errors
/// `bad_request` unless it is 1 to 200 bytes of visible ASCII.
pub fn key_text(text: &[u8]) -> Result<&str, Failure> {
    match std::str::from_utf8(text) {
        Ok(key) if (1..=LONGEST).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()) => Ok(key),
        _ => Err(Failure::new(Code::BadRequest, "the idempotency key is not 1 to 200 bytes of visible ASCII")),
    }
}

/// The idempotency key `text` for `write`.
///
/// # Errors
/// `bad_request`, as `key_text`.
pub fn idempotency_key(text: &[u8], write: &Write) -> Result<IdempotencyKey, Failure> {
    Ok(IdempotencyKey { key: key_text(text)?.into(), digest: digest(write)? })
}

/// xxh3-128 of the write's postcard bytes; the same on every node and machine.
fn digest(write: &Write) -> Result<u128, Failure> {
    let bytes = postcard::to_stdvec(write)
        .map_err(|error| Failure::new(Code::Internal, format!("the write has no digest: {error}")))?;
    Ok(xxhash_rust::xxh3::xxh3_128(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_visible_ascii_and_its_digest_that_of_the_write() {
        let drop = |name: &str| Write::DropTable { name: name.into() };
        let key = |text: &str, write: &Write| idempotency_key(text.as_bytes(), write);
        let one = key("k-1", &drop("a")).unwrap();
        assert_eq!(one, key("k-1", &drop("a")).unwrap());
        assert_ne!(one.digest, key("k-1", &drop("b")).unwrap().digest);
        assert!(key(&"x".repeat(200), &drop("a")).is_ok());
        for bad in ["", "a b", "é", "a\n", &"x".repeat(201)] {
            assert_eq!(key(bad, &drop("a")).map_err(|f| f.code), Err(Code::BadRequest), "{bad:?}");
        }
    }
}
