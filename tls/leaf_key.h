#pragma once

#include "policy/result.h"
#include "tls/ssl_ptr.h"

namespace iron::tls {

/// The P-256 key of all leaves of one store, in the two forms that make minting cheap (docs/tls.md,
/// "Cost of a leaf"). Immutable, shared by threads.
struct LeafKey {
  KeyPtr signing;      ///< the whole key, as providers hold it: for SSL objects
  KeyPtr certificate;  ///< the public part only, as a legacy object: for X509_set_pubkey
};

/// A fresh key.
Result<LeafKey> make_leaf_key();

}  // namespace iron::tls
