#include "tests/tls/stream_pair.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

namespace iron::tls::test {
namespace {

constexpr int kPatienceMs = 5000;

bool settled(Io status) { return status != Io::want_read && status != Io::want_write; }

Io step(Stream& stream, LeafStore& leaves) {
  const IoResult result = stream.handshake();
  if (result.status != Io::want_leaf) return result.status;
  auto leaf = request_and_wait(leaves, stream.server_name());
  EXPECT_TRUE(leaf) << stream.server_name();
  if (!leaf) return Io::error;
  stream.set_leaf(*leaf);
  return Io::want_write;  // try again at once
}

void wait_for_either(int one, int other) {
  pollfd both[] = {{one, POLLIN, 0}, {other, POLLIN, 0}};
  EXPECT_GT(::poll(both, 2, kPatienceMs), 0) << "nothing moves";
}

}  // namespace

std::pair<int, int> connected_pair() {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  EXPECT_EQ(::bind(listener, generic, size), 0);
  EXPECT_EQ(::listen(listener, 1), 0);
  EXPECT_EQ(::getsockname(listener, generic, &size), 0);
  const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(::connect(client, generic, size), 0);
  const int server = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  EXPECT_GE(server, 0);
  ::close(listener);
  for (const int descriptor : {server, client}) {
    ::fcntl(descriptor, F_SETFL, O_NONBLOCK);
    const int on = 1;
    ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  return {server, client};
}

void await_readable(int descriptor) {
  pollfd one{descriptor, POLLIN, 0};
  EXPECT_EQ(::poll(&one, 1, kPatienceMs), 1) << "nothing came";
}

Authority::Authority(const char* name) {
  CertificateSpec spec;
  spec.common_name = name;
  ca_ = make_certificate(spec);
  leaves_ = std::make_unique<LeafStore>(write_pair(directory_, ca_.get(), KeyKind::p256));
}

TrustStorePtr Authority::trust() {
  TrustStorePtr store(X509_STORE_new());
  X509_STORE_add_cert(store.get(), ca_.get());
  return store;
}

Outcome shake(Stream& server, Stream& client, LeafStore& leaves) {
  Outcome outcome;
  for (int round = 0; round < 100; ++round) {
    for (auto [stream, status] :
         {std::pair(&client, &outcome.client), std::pair(&server, &outcome.server)}) {
      if (!settled(*status)) *status = step(*stream, leaves);
      // At once: what failed is told by the thread's error queue, which the other side would
      // change.
      if (*status == Io::error) return outcome;
    }
    if (settled(outcome.client) && settled(outcome.server)) return outcome;
    if (outcome.client == Io::want_read && outcome.server == Io::want_read) {
      wait_for_either(server.descriptor(), client.descriptor());
    }
  }
  ADD_FAILURE() << "the handshake does not end";
  return outcome;
}

PlainClient::PlainClient(int descriptor)
    : descriptor_(descriptor), context_(SSL_CTX_new(TLS_client_method())), ssl_(nullptr) {
  // The lowest level, so that what the server refuses can be offered.
  SSL_CTX_set_security_level(context_, 0);
  SSL_CTX_set_min_proto_version(context_, TLS1_VERSION);
  ssl_ = SSL_new(context_);
  SSL_set_app_data(ssl_, this);
  SSL_set_info_callback(ssl_, on_info);
  SSL_set_fd(ssl_, descriptor_);
  SSL_set_connect_state(ssl_);
}

PlainClient::~PlainClient() {
  SSL_free(ssl_);
  SSL_CTX_free(context_);
  ::close(descriptor_);
}

void PlainClient::on_info(const SSL* ssl, int where, int value) {
  auto& client = *static_cast<PlainClient*>(SSL_get_app_data(ssl));
  if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT) client.alert_ = value & 0xff;
}

void PlainClient::set_sni(const std::string& name) {
  EXPECT_EQ(SSL_set_tlsext_host_name(ssl_, name.c_str()), 1);
}

Outcome PlainClient::shake_with(Stream& server, LeafStore& leaves) {
  Outcome outcome;
  for (int round = 0; round < 100; ++round) {
    if (!settled(outcome.client)) {
      const int result = SSL_do_handshake(ssl_);
      const int error = SSL_get_error(ssl_, result);
      outcome.client = result == 1                    ? Io::ok
                       : error == SSL_ERROR_WANT_READ ? Io::want_read
                                                      : Io::error;
    }
    if (!settled(outcome.server)) outcome.server = step(server, leaves);
    if (settled(outcome.client) && settled(outcome.server)) return outcome;
    if (outcome.server == Io::error && outcome.client == Io::want_read) await_readable(descriptor_);
    if (outcome.client == Io::want_read && outcome.server == Io::want_read) {
      wait_for_either(server.descriptor(), descriptor_);
    }
  }
  ADD_FAILURE() << "the handshake does not end";
  return outcome;
}

IoResult read_settled(Stream& stream, std::span<char> into) {
  while (true) {
    const IoResult got = stream.read(into);
    if (got.status != Io::want_read) return got;
    await_readable(stream.descriptor());
    if (testing::Test::HasFailure()) return {Io::error};
  }
}

std::string read_exactly(Stream& stream, std::size_t size, Io* end) {
  std::string bytes(size, '\0');
  std::size_t used = 0;
  while (used < size) {
    const IoResult got = read_settled(stream, std::span(bytes).subspan(used));
    if (end != nullptr) *end = got.status;
    if (got.status != Io::ok) break;
    used += got.size;
  }
  bytes.resize(used);
  return bytes;
}

void write_everything(Stream& stream, std::string_view bytes) {
  while (!bytes.empty()) {
    const IoResult sent = stream.write(bytes);
    ASSERT_EQ(sent.status, Io::ok);
    bytes.remove_prefix(sent.size);
  }
}

}  // namespace iron::tls::test
