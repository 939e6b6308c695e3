//! Link settings of the Node-API addon; `crates/node` names this file as its build script.

fn main() {
    napi_build::setup();
}
