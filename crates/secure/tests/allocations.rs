//! A record costs no allocation once the channel stands and the buffers have grown.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use ferroswarm_secure::{
    Channel, Handshake, HandshakeConfig, Identity, KeyType, Keypair, Opened, Role, Security,
};

/// Counts the allocations of each thread.
struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator unchanged. The counter is a thread-local without
// destructor that is initialised at compile time, so that reading it allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller upholds the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `System` through `alloc` with the same layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn channels(security: Security) -> (Channel, Channel) {
    let config = || HandshakeConfig {
        identity: Arc::new(Identity::new(Keypair::generate(KeyType::Ed25519).unwrap()).unwrap()),
        muxers: Arc::new([]),
        expected_peer: None,
    };
    let mut dialer = Handshake::new(security, Role::Dialer, &config()).unwrap();
    let mut listener = Handshake::new(security, Role::Listener, &config()).unwrap();
    let mut bytes = Vec::new();
    while !(dialer.is_complete() && listener.is_complete()) {
        dialer.poll_output(&mut bytes);
        listener.handle_input(&mut bytes).unwrap();
        bytes.clear();
        listener.poll_output(&mut bytes);
        dialer.handle_input(&mut bytes).unwrap();
        bytes.clear();
    }
    (
        dialer.finish().unwrap().channel,
        listener.finish().unwrap().channel,
    )
}

fn exchange(sender: &mut Channel, receiver: &mut Channel, buffer: &mut Vec<u8>, length: usize) {
    buffer.clear();
    let start = sender.begin(buffer);
    buffer.resize(start + buffer.len() + length, 7);
    sender.seal(buffer, start).unwrap();
    assert!(matches!(receiver.open(buffer), Ok(Opened::Record { .. })));
}

#[test]
fn records_cost_no_allocation() {
    for security in [Security::Noise, Security::Tls] {
        let (mut dialer, mut listener) = channels(security);
        let mut buffer = Vec::with_capacity(Channel::PLAINTEXT_MAX + dialer.overhead());
        exchange(&mut dialer, &mut listener, &mut buffer, 1);
        let before = COUNT.with(Cell::get);
        for _ in 0..1_000 {
            exchange(&mut dialer, &mut listener, &mut buffer, 1);
            exchange(
                &mut listener,
                &mut dialer,
                &mut buffer,
                Channel::PLAINTEXT_MAX,
            );
        }
        assert_eq!(COUNT.with(Cell::get) - before, 0, "{security:?}");
    }
}
