//! Owns how plain text becomes the markup of man pages.

/// How long a line of the source may be.
const WIDTH: usize = 78;

/// A section: its heading, and text as `text` reads it.
pub(super) fn section(heading: &str, body: &str) -> String {
    format!(".SH {}\n{}", heading.to_uppercase(), text(body))
}

/// Plain text: paragraphs flow, an indented block stays as it is, a line that ends in a colon and
/// stands alone above a block belongs to it.
pub(super) fn text(body: &str) -> String {
    let mut out = String::new();
    let mut literal = false;
    let mut blank = false;
    for line in body.trim_end().lines() {
        if line.is_empty() {
            blank = true;
            continue;
        }
        let indented = line.starts_with("  ");
        match (literal, indented) {
            (false, true) => out += if out.is_empty() { ".RS 4\n.nf\n" } else { ".RS 4\n.PP\n.nf\n" },
            (true, false) => out += ".fi\n.RE\n",
            _ => {}
        }
        if blank && !out.is_empty() {
            match (literal, indented) {
                (true, true) => out += ".sp\n",
                (_, false) => out += ".PP\n",
                (false, true) => {}
            }
        } else if literal && !indented {
            out += ".PP\n";
        }
        out += &escape(if indented { &line[2..] } else { line });
        out.push('\n');
        (literal, blank) = (indented, false);
    }
    if literal {
        out += ".fi\n.RE\n";
    }
    out
}

/// One line that means nothing to the formatter.
pub(super) fn escape(line: &str) -> String {
    let plain = line.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq");
    if plain.starts_with('.') { format!("\\&{plain}") } else { plain }
}

/// Breaks the long lines of flowing text, so that the source can be read as well.
pub(super) fn wrap(page: &str) -> String {
    let mut out = String::with_capacity(page.len());
    let mut literal = false;
    for line in page.lines() {
        match line {
            ".nf" => literal = true,
            ".fi" => literal = false,
            _ => {}
        }
        if literal || line.starts_with('.') {
            out += line;
        } else {
            out += &broken(line);
        }
        out.push('\n');
    }
    out
}

/// `line` with breaks at blanks; no line begins with what would be a command.
fn broken(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut width = 0;
    for word in line.split(' ') {
        if width > 0 && width + word.len() > WIDTH {
            out += if word.starts_with('.') { "\n\\&" } else { "\n" };
            width = 0;
        } else if !out.is_empty() {
            out.push(' ');
        }
        out += word;
        width += word.len() + 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_flow_and_blocks_stay() {
        let wanted = "One.\n.PP\nTwo:\n.RS 4\n.PP\n.nf\na\n\\&.b \\-x\n.sp\n\\(aqc\\e\n.fi\n.RE\n.PP\nThree.\n";
        assert_eq!(text("One.\n\nTwo:\n  a\n  .b -x\n\n  'c\\\nThree.\n"), wanted);
    }
}
