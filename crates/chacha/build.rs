//! Builds OpenSSL's libcrypto where `src/openssl.rs` is compiled. The linker takes what is named there, some 40 KB.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // A build script's own `cfg` is that of the machine it runs on.
    let target = ["ARCH", "OS", "ENV"]
        .map(|part| std::env::var(format!("CARGO_CFG_TARGET_{part}")).unwrap_or_default());
    if target != ["x86_64", "linux", "gnu"] {
        return;
    }
    let artifacts = openssl_src::Build::new().build();
    println!(
        "cargo:rustc-link-search=native={}",
        artifacts.lib_dir().display()
    );
    println!("cargo:rustc-link-lib=static=crypto");
}
