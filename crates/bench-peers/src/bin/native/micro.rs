//! Framing and negotiation alone, in memory.

use ferroswarm_bench_peers::Result;
use ferroswarm_bench_peers::measure::{Latencies, Stopwatch};
use ferroswarm_bench_peers::options::Options;
use ferroswarm_proto::framing::{Decoder, Framing};
use ferroswarm_proto::multistream::{Dialer, Listener, Mode, ProtocolId, ProtocolTable};
use serde_json::Value;

/// Messages written before they are read, as in `ours`.
const BATCH: usize = 100;

/// Writes and reads varint-prefixed messages.
pub(crate) fn frames(options: &Options) -> Result<Value> {
    let message = vec![7; options.bytes as usize];
    let decoder = Decoder::new(Framing::Varint, message.len());
    let mut prefix = [0; Framing::PREFIX_BYTES_MAX];
    let mut wire = Vec::new();
    let watch = Stopwatch::start()?;
    let mut left = options.n;
    while left > 0 {
        let count = left.min(BATCH);
        for _ in 0..count {
            wire.extend_from_slice(Framing::Varint.encode_prefix(message.len(), &mut prefix)?);
            wire.extend_from_slice(&message);
        }
        let mut rest = wire.as_slice();
        for _ in 0..count {
            let found = decoder.peek(rest)?.ok_or("a message is missing")?;
            let (read, after) = rest[found.prefix_bytes..].split_at(found.message_bytes);
            if read != message {
                return Err("a message differs".into());
            }
            rest = after;
        }
        wire.clear();
        left -= count;
    }
    let bytes = options.n as u64 * options.bytes;
    watch.stop(options.n, bytes, Latencies::default())
}

/// Exchanges headers and proposals until both sides have agreed.
pub(crate) fn negotiations(options: &Options) -> Result<Value> {
    let name = ProtocolId::new("/bench/micro/1.0.0")?;
    let mut table = ProtocolTable::default();
    table.insert(name.clone(), ());
    let (mut there, mut back) = (Vec::new(), Vec::new());
    let watch = Stopwatch::start()?;
    for _ in 0..options.n {
        let mut dialer = Dialer::new(Box::new([name.clone()]), Mode::V1);
        let mut listener = Listener::default();
        while dialer.outcome().is_none() || listener.outcome().is_none() {
            dialer.poll_output(&mut there);
            listener.handle_input(&there, &table)?;
            listener.poll_output(&mut back);
            dialer.handle_input(&back)?;
            there.clear();
            back.clear();
        }
    }
    watch.stop(options.n, 0, Latencies::default())
}
