#pragma once

#include <openssl/types.h>

namespace iron::tls {

/// The library context for what origins send (docs/tls.md, "Upstream trust"): everything that
/// OpenSSL's default provider offers, but of its decoders only those for the public keys of TLS
/// servers. OpenSSL 3.0 walks through all decoders that there are for each certificate that it
/// parses: 120 µs with all of them, 56 with these, of the 1,450 µs that a first connection to a
/// host takes.
///
/// Null, which is the default context, where the system's configuration of OpenSSL names providers
/// of its own (FIPS), for it is to be followed, and where not all of this could be made: nothing
/// but time depends on it. The same for the life of the process, never freed. Thread safe, throws
/// nothing. The first call takes 3 ms and 280 KiB, for it has OpenSSL make all that OpenSSL makes
/// once; it belongs beside the loading of the trust store.
OSSL_LIB_CTX* upstream_library();

}  // namespace iron::tls
