//! Owns the rows that a run writes, and what a reader finds in them.

/// How many rows share a group.
pub(super) const GROUP: u64 = 10;

/// A row: its key and how often its writer has written it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its id.
    pub key: u64,
    /// How many times it was written, this one included.
    pub count: u64,
    /// How many bytes of text it has.
    pub value_bytes: usize,
}

impl Row {
    /// Its columns but the id, as a JSON object.
    pub fn json(&self) -> String {
        let mut out = format!("{{\"n\":{},\"grp\":{},\"body\":\"", self.count, self.key / GROUP);
        self.push_body(&mut out);
        out.push_str("\"}");
        out
    }

    /// The same with its id, as a line of an import.
    pub(super) fn line(&self) -> String {
        let mut out = format!("{{\"id\":{},\"n\":{},\"grp\":{},\"body\":\"", self.key, self.count, self.key / GROUP);
        self.push_body(&mut out);
        out.push_str("\"}\n");
        out
    }

    /// Letters that differ from row to row.
    fn push_body(&self, out: &mut String) {
        let mut state = self.key.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ self.count;
        for _ in 0..self.value_bytes {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            out.push(char::from(b'a' + ((state >> 33) % 26) as u8));
        }
    }

    /// The count in what a store answered for a row, wherever in it the columns stand.
    pub fn count_in(answer: &[u8]) -> Option<u64> {
        const NAME: &[u8] = b"\"n\":";
        let at = answer.windows(NAME.len()).position(|window| window == NAME)? + NAME.len();
        let digits: Vec<u8> = answer[at..].iter().copied().take_while(u8::is_ascii_digit).collect();
        String::from_utf8(digits).ok()?.parse().ok()
    }
}
