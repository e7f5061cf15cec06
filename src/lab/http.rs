//! HTTP, for whatever speaks it: downloads, remotes and model servers.

/// Has TLS use `ring`, and must be called before a client is built. Nothing happens where the process has chosen another already.
pub fn choose_cryptography() {
    // An error says that it is chosen already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
