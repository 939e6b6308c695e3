//! Builds OpenSSL's libcrypto, of which the linker takes what `src/openssl.rs` names, some 60 KB.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    #[cfg(all(target_arch = "x86_64", target_os = "linux", target_env = "gnu"))]
    link();
}

#[cfg(all(target_arch = "x86_64", target_os = "linux", target_env = "gnu"))]
fn link() {
    let artifacts = openssl_src::Build::new().build();
    println!(
        "cargo:rustc-link-search=native={}",
        artifacts.lib_dir().display()
    );
    println!("cargo:rustc-link-lib=static=crypto");
}
