//! go-libp2p and rust-libp2p peers as processes.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};

type Found = Result<Vec<String>, String>;

/// Returns the command that runs a peer, built first if needed, or the reason there is none.
pub(crate) fn find(peer: &str) -> Result<&'static [String], &'static str> {
    static GO: OnceLock<Found> = OnceLock::new();
    static RUST: OnceLock<Found> = OnceLock::new();
    let found = match peer {
        "go" => &GO,
        "rust" => &RUST,
        _ => panic!("there is no peer named {peer}"),
    };
    let found = found.get_or_init(|| {
        if is_left_out(peer) {
            Err("it is not built, which `npm run test:interop` does".to_owned())
        } else {
            build(peer)
        }
    });
    found.as_ref().map(Vec::as_slice).map_err(String::as_str)
}

/// Returns whether this is a run of `npm test`, which lists the available peers, without this one.
fn is_left_out(peer: &str) -> bool {
    let peers = std::env::var("FERROSWARM_TEST_PEERS");
    peers.is_ok_and(|peers| peers.split(' ').all(|known| known != peer))
}

fn build(peer: &str) -> Found {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let built = Command::new("node")
        .args(["interop/build.mjs", peer])
        .current_dir(root)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("node cannot be run: {error}"))?;
    let line = String::from_utf8_lossy(&built.stdout);
    let strings = strings(&line);
    match strings.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["peer", _, "command", ..] => Ok(strings[3..].to_vec()),
        ["peer", _, "missing", why] => Err(why.to_owned()),
        _ => Err(format!("interop/build.mjs printed {line:?}")),
    }
}

/// Returns the strings of a flat line of JSON, keys and values alike.
fn strings(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut chars = line.chars();
    while chars.any(|char| char == '"') {
        let mut text = String::new();
        while let Some(char) = chars.next().filter(|char| *char != '"') {
            match char {
                '\\' => text.extend(chars.next()),
                _ => text.push(char),
            }
        }
        found.push(text);
    }
    found
}

/// A server process; it exits when its standard input ends.
pub(crate) struct Server {
    child: Process,
    address: String,
}

impl Server {
    /// Starts one; returns once it listens.
    pub(crate) fn start(command: &[String], stack: &str) -> Self {
        let words = ["server", "--stack", stack, "--listen", "127.0.0.1:0"];
        let mut child = Process::start(command, &words);
        let mut line = String::new();
        let stdout = child.0.stdout.as_mut().expect("it is piped");
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("its output is text");
        match &strings(&line)[..] {
            [key, address] if key == "addr" => Self {
                address: address.clone(),
                child,
            },
            _ => panic!("the server printed {line:?}"),
        }
    }

    /// Returns its address with `/p2p`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Ends its input, and waits for an orderly exit.
    pub(crate) fn stop(mut self) {
        drop(self.child.0.stdin.take());
        let status = self.child.0.wait().expect("it was not waited for");
        assert!(status.success(), "the server ended with {status}");
    }
}

/// A running client.
pub(crate) struct Client {
    printed: Receiver<String>,
    line: OnceLock<String>,
    _child: Process,
}

impl Client {
    /// Starts one; calls `ended` from a thread when it has printed everything.
    pub(crate) fn start(
        command: &[String],
        stack: &str,
        address: &str,
        words: &[&str],
        ended: impl FnOnce() + Send + 'static,
    ) -> Self {
        let first = ["client", "--stack", stack, "--addr", address];
        let mut child = Process::start(command, &[&first[..], words].concat());
        let mut stdout = child.0.stdout.take().expect("it is piped");
        let (sender, printed) = channel();
        std::thread::spawn(move || {
            let mut text = String::new();
            let read = stdout.read_to_string(&mut text);
            // A test that has failed no longer receives.
            let _ = sender.send(read.map_or_else(|error| error.to_string(), |_| text));
            ended();
        });
        Self {
            printed,
            line: OnceLock::new(),
            _child: child,
        }
    }

    /// Returns whether it has ended.
    pub(crate) fn has_ended(&self) -> bool {
        if let Ok(line) = self.printed.try_recv() {
            self.line.get_or_init(|| line);
        }
        self.line.get().is_some()
    }

    /// Returns its output.
    pub(crate) fn line(&self) -> &str {
        self.line.get().expect("it has ended")
    }
}

/// A process that does not outlive its test.
struct Process(Child);

impl Process {
    fn start(command: &[String], words: &[&str]) -> Self {
        let [program, before @ ..] = command else {
            panic!("a peer without a program")
        };
        let child = Command::new(program)
            .args(before)
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        Self(child.expect("the peer starts"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
