#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

struct evp_md_ctx_st;  // OpenSSL's, which headers of this folder do not include

namespace iron::transforms {

using Digest = std::array<char, 32>;
using HexDigest = std::array<char, 64>;

/// SHA-256, fed piece by piece, so that what is hashed need not stand in one place. OpenSSL wipes
/// its block when it is freed.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void feed(std::string_view bytes);
  /// False if OpenSSL refused a step (no memory). Once.
  bool finish(Digest& out);
  /// Like finish, in lower case hex.
  bool finish(HexDigest& out);

 private:
  std::unique_ptr<evp_md_ctx_st, void (*)(evp_md_ctx_st*)> context_;
  bool good_;
};

/// HMAC-SHA-256 (RFC 2104); false if OpenSSL refused. What OpenSSL keeps of the key it wipes.
bool hmac_sha256(std::string_view key, std::string_view text, std::span<char, 32> out);

template <std::size_t size>
std::string_view view(const std::array<char, size>& bytes) {
  return {bytes.data(), size};
}

}  // namespace iron::transforms
