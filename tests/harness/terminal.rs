//! A program behind a pseudo-terminal: what a person types, and what that person sees.

#![allow(dead_code, unreachable_pub, reason = "every test file uses a part of it")]

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// How long what is waited for may take to show up.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Terminal {
    child: Child,
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    seen: Vec<u8>,
    /// Up to where `seen` was waited for already.
    read: usize,
}

impl Terminal {
    /// Starts `program` as the leader of a session that has this terminal.
    pub fn start(program: &str, args: &[&str], prepare: impl FnOnce(&mut Command)) -> Terminal {
        let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
        grantpt(&keyboard).expect("it is granted");
        unlockpt(&keyboard).expect("it is unlocked");
        let name = ptsname(&keyboard, Vec::new()).expect("it has a name");
        let end = rustix::fs::open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).expect("its other end");
        let side = || Stdio::from(end.try_clone().expect("a copy"));
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait", program]).args(args).stdin(side()).stdout(side()).stderr(side());
        prepare(&mut command);
        let child = command.spawn().expect("the program starts");
        drop((command, end));
        let keyboard = File::from(keyboard);
        let mut glass = keyboard.try_clone().expect("a copy");
        let (sender, screen) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // The end of the program is an error here.
            while let Ok(count @ 1..) = glass.read(&mut buffer) {
                if sender.send(buffer[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Terminal { child, keyboard, screen, seen: Vec::new(), read: 0 }
    }

    pub fn type_keys(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("the terminal takes keys");
    }

    /// Waits until `text` shows up behind what was waited for before.
    pub fn wait_for(&mut self, text: &str) {
        let started = Instant::now();
        loop {
            let fresh = &self.seen[self.read..];
            if let Some(at) = fresh.windows(text.len()).position(|part| part == text.as_bytes()) {
                self.read += at + text.len();
                return;
            }
            let left = PATIENCE.saturating_sub(started.elapsed());
            match self.screen.recv_timeout(left) {
                Ok(bytes) => self.seen.extend(bytes),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("{text:?} did not show up; the screen:\n{}", String::from_utf8_lossy(&self.seen))
                }
            }
        }
    }
}

impl Terminal {
    /// Waits until the program has ended by itself; its exit code.
    pub fn wait_for_end(&mut self) -> Option<i32> {
        let started = Instant::now();
        // What it still says has to be read, or it cannot end.
        while let Ok(bytes) = self.screen.recv_timeout(PATIENCE.saturating_sub(started.elapsed())) {
            self.seen.extend(bytes);
        }
        assert!(started.elapsed() < PATIENCE, "it did not end; the screen:\n{}", String::from_utf8_lossy(&self.seen));
        self.child.wait().expect("reaped").code()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
