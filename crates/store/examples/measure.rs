//! Measures a store: acknowledged writes, commits of a thousand, opening and loading 100,000 peers.
//!
//!     cargo run --release -p ferroswarm-store --example measure -- /path/of/a/file

use std::sync::mpsc::channel;
use std::time::Instant;

use ferroswarm_store::{Batch, Change, Reply, Store, StoreError};

const PEERS: u32 = 100_000;
/// Three addresses, twenty protocols, a key.
const VALUE_BYTES: usize = 700;

fn main() {
    let path = std::env::args().nth(1).map_or_else(
        || std::env::temp_dir().join("measure.redb"),
        std::path::PathBuf::from,
    );
    let open = || {
        let began = Instant::now();
        let store = wait(|reply| Store::open(path.clone(), reply));
        (store, began.elapsed())
    };
    let (store, _) = open();
    let store = store.expect("a thread");
    let began = Instant::now();
    for index in 0..200 {
        answer(|reply| store.commit(batch(index..index + 1), reply));
    }
    report("one write, awaited", began, 200);
    let began = Instant::now();
    for index in 0..20 {
        answer(|reply| store.commit(batch(index * 1_000..(index + 1) * 1_000), reply));
    }
    report("one of a thousand writes in a commit", began, 20_000);
    for index in 0..PEERS / 5_000 {
        answer(|reply| store.commit(batch(index * 5_000..(index + 1) * 5_000), reply));
    }
    let began = Instant::now();
    answer(|reply| store.close(reply));
    report("close", began, 1);
    drop(store);
    let size = std::fs::metadata(&path).map_or(0, |file| file.len());
    eprintln!("file of {PEERS} peers: {} MB", size / 1_000_000);
    let (store, took) = open();
    let store = store.expect("a thread");
    eprintln!("open: {took:?}");
    let began = Instant::now();
    let mut after = None;
    loop {
        let page = answer(|reply| store.load(after.clone(), reply));
        let Some(Ok(Change::Put(key, _))) = Batch::new(&page).last() else {
            break;
        };
        after = Some(key.to_vec());
    }
    report("load", began, 1);
}

fn batch(range: std::ops::Range<u32>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for index in range {
        let key = format!(
            "{:052}",
            u64::from(index).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        );
        let value = vec![u8::try_from(index % 251).unwrap_or(0); VALUE_BYTES];
        Batch::push(&mut bytes, Change::Put(key.as_bytes(), &value)).expect("short parts");
    }
    bytes
}

fn wait<T>(call: impl FnOnce(Reply) -> T) -> T {
    let (sender, receiver) = channel::<Result<Vec<u8>, StoreError>>();
    let returned = call(Box::new(move |result| drop(sender.send(result))));
    receiver.recv().expect("an answer").expect("no error");
    returned
}

fn answer(call: impl FnOnce(Reply)) -> Vec<u8> {
    let (sender, receiver) = channel::<Result<Vec<u8>, StoreError>>();
    call(Box::new(move |result| drop(sender.send(result))));
    receiver.recv().expect("an answer").expect("no error")
}

fn report(what: &str, began: Instant, count: u32) {
    eprintln!("{what}: {:?}", began.elapsed() / count);
}
