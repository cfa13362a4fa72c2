// The name that is looked for in a ClientHello is the one that OpenSSL finds and the one that our
// own handshake would use; the verdict does not depend on how much has come and is given within 16
// KiB.
#include "tls/client_hello.h"

#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "policy/match/host.h"
#include "policy/match/ip_address.h"
#include "tests/fuzz/fuzz_target.h"
#include "tls/context.h"
#include "tls/generate_ca.h"
#include "tls/leaf.h"
#include "tls/stream.h"

namespace iron::fuzz {
namespace {

using tls::ClientHello;

/// What OpenSSL's parser of the extension took for the name; nothing if it did not get there.
std::optional<std::string> found;

int on_server_name(SSL* ssl, int* alert, void*) {
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  found = name == nullptr ? "" : name;
  *alert = SSL_AD_INTERNAL_ERROR;
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

SSL_CTX* make_context() {
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  SSL_CTX_set_security_level(context, 0);
  SSL_CTX_set_min_proto_version(context, TLS1_VERSION);
  SSL_CTX_set_tlsext_servername_callback(context, on_server_name);
  return context;
}

std::optional<std::string> openssl_name(std::string_view input) {
  static SSL_CTX* const context = make_context();
  SSL* ssl = SSL_new(context);
  BIO* in = BIO_new_mem_buf(input.data(), static_cast<int>(input.size()));
  SSL_set_bio(ssl, in, BIO_new(BIO_s_null()));
  found.reset();
  SSL_accept(ssl);
  SSL_free(ssl);
  return found;
}

/// A CA for this process, in a directory that goes at once.
std::unique_ptr<tls::LeafStore> make_leaves() {
  char directory[] = "/tmp/fuzz-ca-XXXXXX";
  FUZZ_CHECK(mkdtemp(directory) != nullptr);
  const std::string path = directory;
  ::fflush(stdout);
  FUZZ_CHECK(tls::generate_ca({"-outdir", path, "-alg", "ed25519"}) == 0);
  tls::LeafOptions options;
  options.ca_cert = path + "/ca.crt";
  options.ca_key = path + "/ca.key";
  options.signer = tls::LeafOptions::Signer::ca;
  auto store = std::make_unique<tls::LeafStore>(options);
  std::filesystem::remove_all(path);
  return store;
}

/// The name that a handshake of ours would mint a leaf for; nothing if it does not get there.
std::optional<std::string> handshake_name(std::string_view input) {
  static const auto leaves = make_leaves();
  static const tls::ServerContext context;
  int ends[2];
  FUZZ_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
  ::close(ends[1]);
  tls::Stream stream(ends[0]);
  stream.unread(input);
  stream.start_server(context, *leaves, "fallback.test");
  if (stream.handshake().status != tls::Io::want_leaf) return std::nullopt;
  if (stream.sni().empty()) FUZZ_CHECK(stream.server_name() == "fallback.test");
  return stream.sni();
}

/// Whether a record without content begins the hello or lies inside it: OpenSSL passes over those,
/// RFC 8446 section 5.1 forbids them in a handshake and the peek refuses them.
bool has_empty_record(std::string_view input) {
  constexpr std::size_t kHeader = 5;
  while (input.size() >= kHeader && input.front() == 0x16) {
    const auto octet = [&](std::size_t at) { return static_cast<unsigned char>(input[at]); };
    const std::size_t size = std::size_t{octet(3)} << 8 | octet(4);
    if (size == 0) return true;
    input.remove_prefix(std::min(input.size(), kHeader + size));
  }
  return false;
}

void check_prefixes(std::string_view input, const ClientHello& whole) {
  for (const std::size_t cut : cuts(input)) {
    const ClientHello part = tls::peek_client_hello(input.substr(0, cut));
    if (part.state == ClientHello::State::incomplete) continue;
    FUZZ_CHECK(part.state == whole.state && part.server_name == whole.server_name);
  }
}

}  // namespace
}  // namespace iron::fuzz

FUZZ_TARGET(client_hello) {
  const ClientHello peeked = iron::tls::peek_client_hello(input);
  check_prefixes(input, peeked);
  if (input.size() >= 16 * 1024) {
    FUZZ_CHECK(peeked.state != ClientHello::State::incomplete);
    return;
  }
  if (input.empty() || input.front() != 0x16) {
    FUZZ_CHECK(peeked.state != ClientHello::State::complete);
    return;
  }
  const auto expected = openssl_name(input);
  const auto used = handshake_name(input);
  if (expected && peeked.state != ClientHello::State::complete) {
    FUZZ_CHECK(has_empty_record(input));
  } else if (expected) {
    const bool address = iron::policy::IpAddress::parse(*expected).has_value();
    FUZZ_CHECK(peeked.server_name == (address ? "" : *expected));
  }
  if (expected && used) FUZZ_CHECK(*used == *expected);
  // The name that a handshake of ours begins with is the one that the passthrough decides on.
  // (Where the extension is malformed behind its first name, OpenSSL's own parser ends the
  // handshake later.)
  if (used && !used->empty() && peeked.state == ClientHello::State::complete) {
    FUZZ_CHECK(peeked.server_name == *used || iron::policy::IpAddress::parse(*used));
  }
}
