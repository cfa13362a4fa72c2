#pragma once

#include <openssl/ssl.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "policy/result.h"
#include "tls/ssl_ptr.h"

namespace iron::tls {

class Signer;
struct LeafKey;

/// A certificate for one name, ready to be put on a connection. Immutable, shared by workers.
class Leaf {
 public:
  ~Leaf();
  /// Sets certificate, chain and key. False if OpenSSL refuses.
  bool use_on(SSL* ssl) const;
  /// Binds tickets to the name and the signer: 32 bytes for SSL_set_session_id_context.
  const unsigned char* session_context() const { return session_context_; }

 private:
  friend class LeafStore;
  /// What one leaf is made of.
  struct Order {
    const std::string& name;      ///< DNS name or text of an IP address
    const std::string& identity;  ///< of the store; part of the session context
    std::int64_t now, life;       ///< seconds
  };
  /// A leaf signed by `signer`; the error text is OpenSSL's reason.
  static Result<std::shared_ptr<const Leaf>> mint(const Signer& signer,
                                                  const LeafKey& key,
                                                  const Order& order);
  /// Whether it may be served at `now`: valid, and more than a tenth of its life is left, counted
  /// from minting. A leaf of an issuer that is not valid yet waits with it.
  bool fresh_at(std::int64_t now) const;

  Leaf() = default;
  X509* certificate_ = nullptr;
  STACK_OF(X509) * chain_ = nullptr;
  EVP_PKEY* key_ = nullptr;
  std::int64_t minted_ = 0, not_before_ = 0, not_after_ = 0;  ///< seconds since 1970
  unsigned char session_context_[32] = {};
};

struct LeafOptions {
  std::string ca_cert, ca_key;     ///< file paths
  std::int64_t cache_size = 1000;  ///< negative: unlimited
  std::int64_t expiry_hours = 72;
  enum class Signer { automatic, ca } signer = Signer::automatic;
  /// Wall clock in seconds since 1970, called by any thread; empty: the system's.
  std::function<std::int64_t()> now;
};

/// The CA, its optional short-lived intermediate, and the cache of leaves. Slow minting runs on its
/// own threads, once per name however many ask. All but the constructor is thread safe.
class LeafStore {
 public:
  /// Loads the pair. Throws std::runtime_error with the texts of docs/tls.md, "Loading the CA"; for
  /// a file that is not there it is MissingFile.
  explicit LeafStore(const LeafOptions& options);
  ~LeafStore();
  LeafStore(const LeafStore&) = delete;

  using LeafPtr = std::shared_ptr<const Leaf>;
  /// A cached leaf that is valid now and not due for renewal, or null. `name` is folded: a DNS name
  /// or the text of an IP address.
  LeafPtr find(const std::string& name);
  /// Mints (or joins the minting of) a leaf; `done` is called once, on a minting thread or inline
  /// if cached. Error text: `generating cert for <name>: …`.
  void request(const std::string& name, std::function<void(Result<LeafPtr>)> done);
  /// Mints on the calling thread where that costs less than to hand it over and to come back: with
  /// a P-256 signer that is ready. Null if it is not, if the name is being minted, and on failure:
  /// request() then does it and tells why.
  LeafPtr mint_at_once(const std::string& name);
  /// Starts the minting threads and makes the intermediate on one of them, so that the first
  /// connection does not wait for it. To be called once this process is confined; without it the
  /// first request() does the same.
  void warm_up();
  /// Fingerprint of pair and signer: equal means a reload changes nothing.
  const std::string& identity() const { return identity_; }

 private:
  struct State;
  std::string identity_;
  std::shared_ptr<State>
      state_;  ///< shared with the minting threads, which may outlive this by one callback
};

/// Whether a server name may get a leaf: letters, digits, `-`, `_`, dots; not empty, at most 253
/// octets.
bool acceptable_server_name(std::string_view folded);

}  // namespace iron::tls
