//! Link settings of the Node-API addon; the build script of `crates/node`.

fn main() {
    napi_build::setup();
}
