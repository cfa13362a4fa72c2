#include "transforms/auth/jwt.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

#include "transforms/auth/secret_base64.h"

namespace iron::transforms {
namespace {

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

const Key& rsa_key() {
  static const Key key(EVP_RSA_gen(2048), EVP_PKEY_free);
  return key;
}

Key ed25519_key() { return {EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"), EVP_PKEY_free}; }

template <class Write>
std::string written(Write write) {
  const std::unique_ptr<BIO, decltype(&BIO_free_all)> out(BIO_new(BIO_s_mem()), BIO_free_all);
  EXPECT_EQ(write(out.get()), 1);
  char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  return {text, static_cast<std::size_t>(size)};
}

std::string pkcs8_pem(EVP_PKEY* key) {
  return written([key](BIO* out) {
    return PEM_write_bio_PKCS8PrivateKey(out, key, nullptr, nullptr, 0, nullptr, nullptr);
  });
}

std::string pkcs8_der(EVP_PKEY* key) {
  return written([key](BIO* out) {
    return i2d_PKCS8PrivateKey_bio(out, key, nullptr, nullptr, 0, nullptr, nullptr);
  });
}

std::string pkcs1_pem(EVP_PKEY* key) {
  return written([key](BIO* out) {
    return PEM_write_bio_PrivateKey_traditional(out, key, nullptr, nullptr, 0, nullptr, nullptr);
  });
}

std::string pkcs1_der(EVP_PKEY* key) {
  return written([key](BIO* out) { return i2d_PrivateKey_bio(out, key); });
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  for (std::size_t at = text.find(from); at != text.npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
  return text;
}

bool verifies(EVP_PKEY* key, std::string_view text, std::string_view signature) {
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                        EVP_MD_CTX_free);
  return EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key) == 1 &&
         EVP_DigestVerify(context.get(), reinterpret_cast<const unsigned char*>(signature.data()),
                          signature.size(), reinterpret_cast<const unsigned char*>(text.data()),
                          text.size()) == 1;
}

/// Header, claims and signature of a token; empty texts if it is none.
struct Parts {
  std::string header, claims, signed_text, signature;
};

Parts parts_of(std::string_view token) {
  const std::size_t first = token.find('.'), second = token.rfind('.');
  const auto decode = [](std::string_view text) {
    const auto bytes = secret_from_base64(text, Base64Form::url);
    return bytes ? std::string(bytes->reveal()) : std::string();
  };
  return {decode(token.substr(0, first)), decode(token.substr(first + 1, second - first - 1)),
          std::string(token.substr(0, second)), decode(token.substr(second + 1))};
}

TEST(Jwt, EveryFormOfAnRsaKeySigns) {
  EVP_PKEY* const key = rsa_key().get();
  for (const std::string& form :
       {pkcs8_pem(key), pkcs1_pem(key), pkcs8_der(key), pkcs1_der(key),
        replaced(pkcs8_pem(key), "PRIVATE KEY", "ANYTHING"), replaced(pkcs8_pem(key), "\n", "\r\n"),
        "text in front\n" + pkcs1_pem(key), pkcs8_pem(key) + pkcs8_pem(ed25519_key().get()),
        replaced(pkcs1_pem(key), "KEY-----\nM", "KEY-----\nName: value\n\nM")}) {
    const auto token =
        sign_jwt(Secret::copy_of(form), "kid-1", JsonClaims().number("exp", 1).finish());
    ASSERT_TRUE(token) << form << token.error().text;
    const Parts parts = parts_of(token->reveal());
    EXPECT_EQ(parts.header, R"({"alg":"RS256","typ":"JWT","kid":"kid-1"})");
    EXPECT_EQ(parts.claims, R"({"exp":1})");
    EXPECT_TRUE(verifies(key, parts.signed_text, parts.signature));
    EXPECT_FALSE(verifies(key, parts.signed_text + "A", parts.signature));
  }
}

TEST(Jwt, HeaderHasAKeyIdOnlyIfThereIsOne) {
  const auto token =
      sign_jwt(Secret::copy_of(pkcs8_der(rsa_key().get())), "", JsonClaims().finish());
  ASSERT_TRUE(token);
  EXPECT_EQ(parts_of(token->reveal()).header, R"({"alg":"RS256","typ":"JWT"})");
  EXPECT_EQ(parts_of(token->reveal()).claims, "{}");
}

TEST(Jwt, OtherKeysAreRefused) {
  constexpr const char* kUnreadable =
      "private key should be a PEM or plain PKCS1 or PKCS8; parse error: ";
  constexpr const char* kInvalid = "private key is invalid";
  EVP_PKEY* const rsa = rsa_key().get();
  const Key ed25519 = ed25519_key();
  const Key curve(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"), EVP_PKEY_free);
  const std::string der = pkcs8_der(rsa), pkcs1 = pkcs1_der(rsa);
  std::string wrong_version = pkcs1;
  wrong_version[6] = 1;  // keys of two primes have 0
  std::string ninth_number = pkcs1 + std::string("\x02\x01\x00", 3);
  const unsigned size = static_cast<unsigned>(ninth_number.size() - 4);  // behind 30 82 and itself
  ninth_number[2] = static_cast<char>(size >> 8);
  ninth_number[3] = static_cast<char>(size & 0xFF);
  struct Case {
    std::string key, error;
  };
  for (const Case& at : {
           Case{pkcs8_pem(ed25519.get()), kInvalid},
           Case{pkcs8_der(ed25519.get()), kInvalid},
           Case{pkcs8_pem(curve.get()), kInvalid},
           Case{pkcs1_pem(curve.get()), kUnreadable},
           Case{"", kUnreadable},
           Case{"hunter2", kUnreadable},
           Case{"-----BEGIN X-----\nMIIB\n", kUnreadable},
           Case{"-----BEGIN X-----\n!!!\n-----END X-----\n", kUnreadable},
           Case{der.substr(0, der.size() - 1), kUnreadable},
           Case{der + "x", kUnreadable},
           Case{pkcs1.substr(0, 40), kUnreadable},
           Case{wrong_version, kUnreadable},
           Case{ninth_number, kUnreadable},
           Case{std::string("\x30\x84\xff\xff\xff\xff", 6), kUnreadable},
           Case{std::string("\x30\x80\x00\x00", 4), kUnreadable},
       }) {
    const auto token = sign_jwt(Secret::copy_of(at.key), "", JsonClaims().finish());
    ASSERT_FALSE(token);
    EXPECT_EQ(token.error().text.substr(0, at.error.size()), at.error);
    EXPECT_EQ(token.error().text.find("hunter2"), std::string::npos);
  }
}

TEST(Jwt, ClaimsKeepTheirOrderAndAreEscaped) {
  EXPECT_EQ(JsonClaims()
                .text("iss", "iss-1")
                .text("scope", "a.read b&c")
                .text("aud", "aud.example")
                .number("exp", 1795513352)
                .number("iat", 1795509752)
                .text("sub", "sub-1")
                .text("prn", "sub-1")
                .finish()
                .reveal(),
            R"({"iss":"iss-1","scope":"a.read b\u0026c","aud":"aud.example","exp":1795513352,)"
            R"("iat":1795509752,"sub":"sub-1","prn":"sub-1"})");
  EXPECT_EQ(JsonClaims()
                .text("a<", "\"\\/<>&\b\f\n\r\t\x01\x7f\xc3\xa9\xff\xe2\x80\xa8\xe2\x80\xa9")
                .number("n", -1)
                .finish()
                .reveal(),
            "{\"a\\u003c\":\"\\\"\\\\/\\u003c\\u003e\\u0026\\b\\f\\n\\r\\t\\u0001\x7f\xc3\xa9"
            "\\ufffd\\u2028\\u2029\",\"n\":-1}");
}

std::string token_with(std::string_view claims) {
  SecretWriter out;
  out.put("e30.");
  put_base64_url(out, claims);
  out.put(".c2ln");
  return std::string(out.reveal());
}

TEST(Jwt, ReadsTheExpiryOfAToken) {
  struct Case {
    const char* claims;
    std::int64_t expiry;
  };
  for (const Case& at :
       {Case{R"({"exp":1795513352})", 1795513352}, Case{R"({"a":{"exp":1},"exp":2})", 2},
        Case{R"({"exp":-5})", 0}, Case{R"({"exp":9223372036854775807})", 253402300799},
        Case{R"({"exp":"1"})", -1}, Case{R"({"exp":1.5})", -1},
        Case{R"({"exp":92233720368547758070})", -1}, Case{"{}", -1}}) {
    const auto claims = jwt_claims(token_with(at.claims));
    ASSERT_TRUE(claims) << at.claims;
    EXPECT_EQ(claims->reveal(), at.claims);
    const auto expiry = jwt_expiry(*claims);
    EXPECT_EQ(expiry ? expiry->time_since_epoch().count() : -1, at.expiry) << at.claims;
  }
  for (const std::string& token :
       {std::string(), std::string("e30"), std::string("e30.e30="), std::string("e30.!"),
        token_with("[]"), token_with("{"), token_with("")}) {
    EXPECT_FALSE(jwt_claims(token)) << token;
  }
}

TEST(SecretBase64, TellsItsForms) {
  struct Case {
    const char* text;
    Base64Form form;
    const char* bytes;
  };
  for (const Case& at : {
           Case{"", Base64Form::lines, ""},
           Case{"Zg==", Base64Form::lines, "f"},
           Case{" Zm8=\r\n", Base64Form::lines, "fo"},
           Case{"Zm9v\nYmFy", Base64Form::lines, "foobar"},
           Case{"+/+/", Base64Form::lines, "\xfb\xff\xbf"},
           Case{"Zm8=", Base64Form::standard, "fo"},
           Case{"Zm9vYmFy", Base64Form::standard, "foobar"},
           Case{"Zm9v\nYmFy", Base64Form::standard, nullptr},
           Case{"Zm8= ", Base64Form::standard, nullptr},
           Case{"Zg", Base64Form::standard, nullptr},
           Case{"-_-_", Base64Form::standard, nullptr},
           Case{"-_-_", Base64Form::url, "\xfb\xff\xbf"},
           Case{"Zg", Base64Form::url, "f"},
           Case{"Zm8", Base64Form::url, "fo"},
           Case{"Zg", Base64Form::lines, nullptr},
           Case{"Zg=", Base64Form::lines, nullptr},
           Case{"Zg==Zg==", Base64Form::lines, nullptr},
           Case{"Zm9v=", Base64Form::lines, nullptr},
           Case{"Z", Base64Form::url, nullptr},
           Case{"Zg==", Base64Form::url, nullptr},
           Case{"Zm 8", Base64Form::url, nullptr},
           Case{"-_-_", Base64Form::lines, nullptr},
           Case{"+/+/", Base64Form::url, nullptr},
       }) {
    const auto bytes = secret_from_base64(at.text, at.form);
    ASSERT_EQ(bytes.has_value(), at.bytes != nullptr) << at.text;
    if (bytes) {
      EXPECT_EQ(bytes->reveal(), at.bytes) << at.text;
    }
  }
}

}  // namespace
}  // namespace iron::transforms
