#pragma once

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "tests/tls/test_pki.h"
#include "tls/context.h"
#include "tls/leaf.h"
#include "tls/stream.h"
#include "tls/trust.h"

namespace iron::tls::test {

/// Two ends of a TCP connection over loopback, not blocking.
std::pair<int, int> connected_pair();
/// Waits until `descriptor` can be read (or has ended), 5 s at most.
void await_readable(int descriptor);

/// A CA with its store of leaves and what trusts it.
class Authority {
 public:
  explicit Authority(const char* name = "Test CA");
  LeafStore& leaves() { return *leaves_; }
  X509* certificate() { return ca_.get(); }
  /// A store that trusts this CA.
  TrustStorePtr trust();

 private:
  TemporaryDirectory directory_;
  CertificatePtr ca_;
  std::unique_ptr<LeafStore> leaves_;
};

struct Outcome {
  Io server = Io::want_read, client = Io::want_read;
};
/// Takes both handshakes to their ends, or until one fails; leaves are minted as the server asks
/// for them.
Outcome shake(Stream& server, Stream& client, LeafStore& leaves);

/// A client as OpenSSL makes it, for what Stream would never send.
class PlainClient {
 public:
  explicit PlainClient(int descriptor);
  ~PlainClient();
  PlainClient(const PlainClient&) = delete;
  SSL* ssl() { return ssl_; }
  SSL_CTX* context() { return context_; }
  /// Sends exactly this as SNI.
  void set_sni(const std::string& name);
  /// The alert that the server sent, or -1.
  int alert() const { return alert_; }
  /// Takes both handshakes to their ends.
  Outcome shake_with(Stream& server, LeafStore& leaves);

 private:
  static void on_info(const SSL* ssl, int where, int value);
  int descriptor_;
  SSL_CTX* context_;
  SSL* ssl_;
  int alert_ = -1;
};

/// Reads `size` bytes, waiting for them; what came if the stream ends before.
std::string read_exactly(Stream& stream, std::size_t size, Io* end = nullptr);
/// Writes everything; the other side's buffers must have room.
void write_everything(Stream& stream, std::string_view bytes);
/// The first result that is not want_read.
IoResult read_settled(Stream& stream, std::span<char> into);

}  // namespace iron::tls::test
