#include "transforms/auth/rsa_key.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <bit>
#include <memory>
#include <optional>

#include "transforms/auth/secret_base64.h"

namespace iron::transforms {
namespace {

constexpr unsigned char kInteger = 0x02, kOctets = 0x04, kObject = 0x06, kSequence = 0x30;
/// rsaEncryption (RFC 8017, appendix A.1).
constexpr std::string_view kRsaEncryption("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01", 9);

/// Modulus, exponents, primes, coefficient in the order of RFC 8017, appendix A.1.2, big endian
/// without leading zeros; views into the key's DER.
using Numbers = std::array<std::string_view, 8>;
constexpr std::array<const char*, 8> kNumberNames{"n",
                                                  "e",
                                                  "d",
                                                  "rsa-factor1",
                                                  "rsa-factor2",
                                                  "rsa-exponent1",
                                                  "rsa-exponent2",
                                                  "rsa-coefficient1"};

/// One level of DER (X.690): what stands one behind the other.
class Der {
 public:
  explicit Der(std::string_view bytes) : rest_(bytes) {}

  /// The content of the next element, if it has this tag.
  std::optional<std::string_view> take(unsigned char tag) {
    if (rest_.size() < 2 || static_cast<unsigned char>(rest_[0]) != tag) return std::nullopt;
    std::size_t size = static_cast<unsigned char>(rest_[1]), at = 2;
    if (size >= 0x80) {
      const std::size_t digits = size & 0x7F;
      if (digits == 0 || digits > 4 || rest_.size() < 2 + digits) return std::nullopt;
      for (size = 0; at < 2 + digits; ++at)
        size = size << 8 | static_cast<unsigned char>(rest_[at]);
    }
    if (rest_.size() - at < size) return std::nullopt;
    const std::string_view content = rest_.substr(at, size);
    rest_.remove_prefix(at + size);
    return content;
  }
  bool at_end() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

/// The content of a sequence that is all of `bytes`.
std::optional<std::string_view> whole_sequence(std::string_view bytes) {
  Der outer(bytes);
  const auto content = outer.take(kSequence);
  return outer.at_end() ? content : std::nullopt;
}

std::optional<Numbers> read_pkcs1(std::string_view bytes) {
  const auto content = whole_sequence(bytes);
  if (!content) return std::nullopt;
  Der key(*content);
  const auto version = key.take(kInteger);
  if (!version || *version != std::string_view("\0", 1)) return std::nullopt;
  Numbers numbers;
  for (std::string_view& number : numbers) {
    auto digits = key.take(kInteger);
    if (!digits || digits->empty() || static_cast<unsigned char>(digits->front()) > 0x7F)
      return std::nullopt;
    while (digits->starts_with('\0')) digits->remove_prefix(1);
    if (digits->empty()) return std::nullopt;
    number = *digits;
  }
  if (!key.at_end()) return std::nullopt;
  return numbers;
}

Error invalid() { return fail("private key is invalid"); }
Error unreadable(std::string_view why) {
  return fail("private key should be a PEM or plain PKCS1 or PKCS8; parse error: " +
              std::string(why));
}

Result<Numbers> read_der(std::string_view bytes) {
  if (const auto numbers = read_pkcs1(bytes)) return *numbers;
  const auto content = whole_sequence(bytes);
  if (!content) return unreadable("no sequence of DER");
  Der info(*content);  // RFC 5208 section 5
  const auto version = info.take(kInteger);
  const auto algorithm = info.take(kSequence);
  const auto key = info.take(kOctets);
  const auto object = algorithm ? Der(*algorithm).take(kObject) : std::nullopt;
  if (!version || !key || !object) return unreadable("neither PKCS1 nor PKCS8");
  if (*object != kRsaEncryption) return invalid();
  if (const auto numbers = read_pkcs1(*key)) return *numbers;
  return unreadable("PKCS8 without an RSA key of two primes");
}

/// What stands in the first block of PEM (RFC 7468), without the fields that old writers put in
/// front; nothing if there is no block.
std::optional<std::string_view> first_block(std::string_view text) {
  constexpr std::string_view kBegin = "-----BEGIN ", kEnd = "-----END ";
  const std::size_t begin = text.find(kBegin);
  if (begin == text.npos) return std::nullopt;
  const std::size_t line = text.find('\n', begin);
  const std::size_t end = text.find(kEnd, begin);
  if (line == text.npos || end == text.npos || end < line) return std::nullopt;
  std::string_view body = text.substr(line + 1, end - line - 1);
  for (std::size_t next = body.find('\n'); next != body.npos; next = body.find('\n')) {
    if (body.substr(0, next).find(':') == body.npos) break;
    body.remove_prefix(next + 1);
  }
  return body;
}

using OwnedKey = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

OwnedKey make_key(const Numbers& numbers) {
  static_assert(std::endian::native == std::endian::little, "OpenSSL takes native numbers");
  std::array<Secret, 8> native;
  std::array<OSSL_PARAM, 9> parameters{};
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    native[i] = Secret::copy_of(numbers[i]);
    const auto bytes = native[i].writable();
    std::ranges::reverse(bytes);
    parameters[i] = {kNumberNames[i], OSSL_PARAM_UNSIGNED_INTEGER, bytes.data(), bytes.size(),
                     static_cast<std::size_t>(-1)};
  }
  const std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> context(
      EVP_PKEY_CTX_new_from_name(nullptr, "RSA", nullptr), EVP_PKEY_CTX_free);
  EVP_PKEY* key = nullptr;
  if (!context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_KEYPAIR, parameters.data()) != 1) {
    return {nullptr, EVP_PKEY_free};
  }
  return {key, EVP_PKEY_free};
}

Result<Secret> sign_with(EVP_PKEY* key, std::string_view text) {
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                        EVP_MD_CTX_free);
  const auto* message = reinterpret_cast<const unsigned char*>(text.data());
  Secret signature = Secret::sized(static_cast<std::size_t>(EVP_PKEY_get_size(key)));
  std::size_t size = signature.size();
  auto* out = reinterpret_cast<unsigned char*>(signature.writable().data());
  if (!context || EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key) != 1 ||
      EVP_DigestSign(context.get(), out, &size, message, text.size()) != 1) {
    return invalid();
  }
  signature.shrink(size);
  return signature;
}

}  // namespace

Result<Secret> sign_rsa_sha256(const Secret& private_key, std::string_view text) {
  const auto block = first_block(private_key.reveal());
  auto decoded = block ? secret_from_base64(*block, Base64Form::lines) : std::nullopt;
  if (block && !decoded) return unreadable("PEM without base64");
  const auto numbers = read_der(decoded ? decoded->reveal() : private_key.reveal());
  if (!numbers) return numbers.error();
  const OwnedKey key = make_key(*numbers);
  if (!key) return invalid();
  return sign_with(key.get(), text);
}

}  // namespace iron::transforms
