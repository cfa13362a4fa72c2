#include <stdexcept>

#include "bench/case.h"
#include "bench/tls_pair.h"

namespace iron::bench {
namespace {

using Resume = TlsBench::Resume;

std::function<void()> mint(CaKey key) {
  auto tls = std::make_shared<TlsBench>(key);
  return [tls] { tls->mint(); };
}

std::function<void()> find() {
  auto tls = std::make_shared<TlsBench>(CaKey::p256);
  return [tls] { tls->find(); };
}

std::function<void()> handshake(CaKey key, Resume resume) {
  auto tls = std::make_shared<TlsBench>(key);
  for (int i = 0; i < 2; ++i) tls->handshake(resume);
  return [tls, resume] {
    tls->handshake(resume);
    if (tls->resumed() != (resume == Resume::yes)) throw std::runtime_error("wrong handshake");
  };
}

}  // namespace

std::vector<Case> tls_cases() {
  return {
      {"tls/mint/p256_ca", [] { return mint(CaKey::p256); }, 20, 0, true},
      {"tls/mint/rsa4096_ca", [] { return mint(CaKey::rsa4096); }, 20, 0, true},
      {"tls/cached_leaf", find, 1000},
      {"tls/handshake/full", [] { return handshake(CaKey::p256, Resume::no); }, 10},
      {"tls/handshake/full_rsa4096_ca", [] { return handshake(CaKey::rsa4096, Resume::no); }, 10},
      {"tls/handshake/resumed", [] { return handshake(CaKey::p256, Resume::yes); }, 10},
  };
}

}  // namespace iron::bench
