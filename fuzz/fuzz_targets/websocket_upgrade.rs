#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ferroswarm_fuzz_targets::websocket_upgrade(data));
