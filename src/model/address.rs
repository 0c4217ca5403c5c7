//! Owns the rule for a node's address: `http://host:port`.

/// Checks an address, and gives it without a trailing slash.
///
/// # Errors
/// Why it is none, to follow `"…" is not an address: `.
pub fn parse_address(text: &str) -> Result<String, &'static str> {
    if text.starts_with("https://") {
        return Err("TLS is not supported yet, write http://host:port");
    }
    let rest = text.strip_prefix("http://").ok_or("write http://host:port")?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = rest.rsplit_once(':').ok_or("it has no port, write http://host:port")?;
    if !is_host(host) {
        return Err("its host is neither a name nor an IP address");
    }
    match port.parse::<u16>() {
        Ok(1..) if port.bytes().all(|b| b.is_ascii_digit()) => Ok(format!("http://{host}:{port}")),
        _ => Err("its port is not a number from 1 to 65535"),
    }
}

fn is_host(host: &str) -> bool {
    if let Some(inner) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return inner.parse::<std::net::Ipv6Addr>().is_ok();
    }
    !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::parse_address;

    #[test]
    fn an_address_is_a_host_and_a_port_and_nothing_else() {
        for good in ["http://127.0.0.1:8080", "http://node-1.example:1", "http://[::1]:65535", "http://a:80/"] {
            assert_eq!(parse_address(good).as_deref(), Ok(good.trim_end_matches('/')));
        }
        for bad in [
            "",
            "127.0.0.1:8080",
            "https://a:1",
            "http://a",
            "http://:80",
            "http://a:0",
            "http://a:65536",
            "http://a:+1",
            "http://a:80/x",
            "http://u@a:80",
            "http://a b:80",
            "http://[::1:80",
        ] {
            assert!(parse_address(bad).is_err(), "{bad}");
        }
    }
}
