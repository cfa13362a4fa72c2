#include "bench/tls_pair.h"

#include <stdlib.h>
#include <sys/socket.h>

#include <filesystem>
#include <future>
#include <stdexcept>

#include "tls/trust.h"

namespace iron::bench {
namespace {

constexpr const char* kName = "api.bench.test";

std::string make_ca(CaKey key) {
  char folder[] = "/tmp/iron-bench-XXXXXX";
  if (mkdtemp(folder) == nullptr) throw std::runtime_error("no temporary folder");
  const std::string path = folder;
  const std::string algorithm =
      key == CaKey::p256 ? "ec -pkeyopt ec_paramgen_curve:P-256" : "rsa:4096";
  const std::string command = "openssl req -x509 -nodes -days 30 -subj /CN=bench -newkey " +
                              algorithm + " -keyout " + path + "/ca.key -out " + path +
                              "/ca.crt -addext keyUsage=critical,keyCertSign,cRLSign 2>" + path +
                              "/log";
  if (std::system(command.c_str()) != 0) throw std::runtime_error("openssl req failed");
  return path;
}

int step(tls::Stream& stream, const char* what) {
  const tls::IoResult result = stream.handshake();
  if (result.status == tls::Io::error || result.status == tls::Io::eof) {
    throw std::runtime_error(std::string(what) + ": " + stream.handshake_error());
  }
  return result.status == tls::Io::ok ? 1 : 0;
}

}  // namespace

TlsBench::TlsBench(CaKey key) : folder_(make_ca(key)) {
  tls::LeafOptions options;
  options.ca_cert = folder_ + "/ca.crt";
  options.ca_key = folder_ + "/ca.key";
  leaves_ = std::make_unique<tls::LeafStore>(options);
  setenv("SSL_CERT_FILE", options.ca_cert.c_str(), 1);
  setenv("SSL_CERT_DIR", folder_.c_str(), 1);
  server_ = std::make_unique<tls::ServerContext>();
  client_ = std::make_unique<tls::UpstreamContext>(tls::load_trust_store());
  mint();
  std::promise<void> done;
  leaves_->request(kName, [&](const auto& leaf) {
    if (!leaf) throw std::runtime_error(leaf.error().text);
    done.set_value();
  });
  done.get_future().wait();
}

TlsBench::~TlsBench() { std::filesystem::remove_all(folder_); }

void TlsBench::mint() {
  std::promise<void> done;
  leaves_->request("h" + std::to_string(minted_++) + ".bench.test", [&](const auto& leaf) {
    if (!leaf) throw std::runtime_error(leaf.error().text);
    done.set_value();
  });
  done.get_future().wait();
}

void TlsBench::find() {
  if (leaves_->find(kName) == nullptr) throw std::runtime_error("the leaf is gone");
}

void TlsBench::handshake(Resume resume) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) {
    throw std::runtime_error("no socket pair");
  }
  tls::Stream client(ends[0]), server(ends[1]);
  server.start_server(*server_, *leaves_, kName);
  SSL_SESSION* const session = resume == Resume::yes ? sessions_->take() : nullptr;
  const auto started = client.start_client(*client_, kName, false, session, sessions_);
  SSL_SESSION_free(session);
  if (!started) throw std::runtime_error(started.error().text);
  int done = 0;
  while (done < 2) done = step(client, "client") + step(server, "server");
  char byte = 0;
  server.write({&byte, 1});
  client.read({&byte, 1});
  resumed_ = SSL_session_reused(client.ssl()) == 1;
}

}  // namespace iron::bench
