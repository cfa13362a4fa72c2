#include "transforms/auth/digest.h"

#include <openssl/evp.h>

#include <utility>

#include "policy/secret/secret.h"
#include "transforms/encoding.h"

namespace iron::transforms {

Sha256::Sha256()
    : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free),
      good_(context_ && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1) {}

Sha256::~Sha256() = default;

void Sha256::feed(std::string_view bytes) {
  good_ = good_ && EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1;
}

bool Sha256::finish(Digest& out) {
  unsigned size = 0;
  auto* bytes = reinterpret_cast<unsigned char*>(out.data());
  good_ = good_ && EVP_DigestFinal_ex(context_.get(), bytes, &size) == 1 && size == out.size();
  return std::exchange(good_, false);
}

bool Sha256::finish(HexDigest& out) {
  Digest digest{};
  if (!finish(digest)) return false;
  put_hex(out.data(), view(digest));
  return true;
}

bool hmac_sha256(std::string_view key, std::string_view text, std::span<char, 32> out) {
  std::size_t size = 0;
  const auto* message = reinterpret_cast<const unsigned char*>(text.data());
  auto* bytes = reinterpret_cast<unsigned char*>(out.data());
  const bool good = EVP_Q_mac(nullptr, "HMAC", nullptr, "SHA256", nullptr, key.data(), key.size(),
                              message, text.size(), bytes, out.size(), &size) != nullptr;
  return good && size == out.size();
}

}  // namespace iron::transforms
