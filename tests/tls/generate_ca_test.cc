#include "tls/generate_ca.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/bn.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <array>
#include <ctime>
#include <filesystem>

#include "tests/tls/test_pki.h"
#include "tls/certificate_authority.h"

namespace iron::tls {
namespace {

using testing::ElementsAre;
using testing::StartsWith;

constexpr std::int64_t kHour = 3600;
constexpr const char* kUsage =
    "Usage of generate-ca:\n"
    "  -alg string\n"
    "    \tkey algorithm: rsa4096 or ed25519 (default \"rsa4096\")\n"
    "  -expiry-hours int\n"
    "    \tnumber of hours the CA is valid for (default 8760)\n"
    "  -name string\n"
    "    \tcommon name of the CA (default \"iron-proxy CA\")\n"
    "  -outdir string\n"
    "    \tdirectory to write ca.crt and ca.key (default \".\")\n";

class GenerateCaTest : public testing::Test {
 protected:
  struct Outcome {
    int code;
    std::string out, error;
  };
  static Outcome run(const std::vector<std::string>& arguments) {
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    const int code = generate_ca(arguments);
    std::string out = testing::internal::GetCapturedStdout();
    return {code, std::move(out), testing::internal::GetCapturedStderr()};
  }
  static CertificatePtr certificate(const std::string& path) {
    const std::string text = test::read_file(path);
    const SslPtr<BIO, BIO_free> bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
    return CertificatePtr(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  }
  static int mode(const std::string& path) {
    struct stat status{};
    return ::stat(path.c_str(), &status) == 0 ? static_cast<int>(status.st_mode & 07777) : -1;
  }

  test::TemporaryDirectory directory_;
};

TEST_F(GenerateCaTest, Ed25519WithAllOptions) {
  const mode_t before = ::umask(022);
  const std::string target = directory_.file("a/b");
  const Outcome outcome = run(
      {"--outdir=" + target, "-alg", "ed25519", "-name", "My CA", "-expiry-hours", "24", "extra"});
  ::umask(before);
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(outcome.out, "wrote " + target + "/ca.crt\nwrote " + target + "/ca.key\n");
  EXPECT_EQ(outcome.error, "");
  EXPECT_EQ(mode(target), 0755);
  EXPECT_EQ(mode(target + "/ca.crt"), 0644);
  EXPECT_EQ(mode(target + "/ca.key"), 0600);
  EXPECT_THAT(test::read_file(target + "/ca.key"), StartsWith("-----BEGIN PRIVATE KEY-----\n"));

  const CertificatePtr made = certificate(target + "/ca.crt");
  ASSERT_NE(made, nullptr);
  EXPECT_EQ(X509_get_version(made.get()), X509_VERSION_3);
  EXPECT_EQ(X509_get_signature_nid(made.get()), NID_ED25519);
  char name[64] = "";
  EXPECT_STREQ(X509_NAME_oneline(X509_get_subject_name(made.get()), name, sizeof name),
               "/CN=My CA");
  EXPECT_EQ(X509_NAME_cmp(X509_get_subject_name(made.get()), X509_get_issuer_name(made.get())), 0);
  const std::int64_t starts = seconds_since_epoch(X509_get0_notBefore(made.get()), 0);
  EXPECT_NEAR(static_cast<double>(starts), static_cast<double>(std::time(nullptr) - 60), 5);
  EXPECT_EQ(seconds_since_epoch(X509_get0_notAfter(made.get()), 0) - starts, 24 * kHour + 60);
  EXPECT_THAT(
      test::extension_names(made.get()),
      ElementsAre("keyUsage critical", "basicConstraints critical", "subjectKeyIdentifier"));
  EXPECT_EQ(test::extension_text(made.get(), NID_key_usage), "Certificate Sign, CRL Sign");
  EXPECT_EQ(test::extension_text(made.get(), NID_basic_constraints), "CA:TRUE, pathlen:0");

  std::array<unsigned char, 32> digest{};
  X509_pubkey_digest(made.get(), EVP_sha256(), digest.data(), nullptr);
  const ASN1_OCTET_STRING* identifier = X509_get0_subject_key_id(made.get());
  ASSERT_EQ(ASN1_STRING_length(identifier), 20);
  EXPECT_TRUE(std::equal(digest.begin(), digest.begin() + 20, ASN1_STRING_get0_data(identifier)));
}

TEST_F(GenerateCaTest, DefaultIsRsa4096ForAYearInTheWorkingDirectory) {
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(directory_.path());
  const Outcome outcome = run({});
  std::filesystem::current_path(before);
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(outcome.out, "wrote ca.crt\nwrote ca.key\n");
  const CertificatePtr made = certificate(directory_.file("ca.crt"));
  ASSERT_NE(made, nullptr);
  EXPECT_EQ(X509_get_signature_nid(made.get()), NID_sha256WithRSAEncryption);
  EXPECT_EQ(EVP_PKEY_get_bits(X509_get0_pubkey(made.get())), 4096);
  EXPECT_EQ(seconds_since_epoch(X509_get0_notAfter(made.get()), 0) -
                seconds_since_epoch(X509_get0_notBefore(made.get()), 0),
            8760 * kHour + 60);
  const CertificateAuthority loaded =
      load_certificate_authority(directory_.file("ca.crt"), directory_.file("ca.key"));
  EXPECT_FALSE(loaded.intermediate_pays);  // its path length is 0
}

TEST_F(GenerateCaTest, GeneratedAuthoritySignsLeavesThatVerify) {
  ASSERT_EQ(run({"-outdir", directory_.path(), "-alg", "ed25519"}).code, 0);
  LeafOptions options;
  options.ca_cert = directory_.file("ca.crt");
  options.ca_key = directory_.file("ca.key");
  LeafStore store(options);
  const auto leaf = test::request_and_wait(store, "a.test");
  ASSERT_TRUE(leaf);
  EXPECT_EQ(test::verify(test::presented_by(**leaf), certificate(options.ca_cert).get(), "a.test"),
            X509_V_OK);
}

TEST_F(GenerateCaTest, NegativeExpiryGivesAnExpiredCertificate) {
  ASSERT_EQ(run({"-outdir", directory_.path(), "-alg", "ed25519", "-expiry-hours", "-24"}).code, 0);
  const CertificatePtr made = certificate(directory_.file("ca.crt"));
  EXPECT_LT(X509_cmp_current_time(X509_get0_notAfter(made.get())), 0);
}

TEST_F(GenerateCaTest, LongAndEmptyNames) {
  const std::string name = std::string(100, 'n') + " \xc3\xbc*";
  ASSERT_EQ(run({"-outdir", directory_.file("long"), "-alg=ed25519", "-name", name}).code, 0);
  char text[256] = "";
  const CertificatePtr made = certificate(directory_.file("long/ca.crt"));
  X509_NAME_get_text_by_NID(X509_get_subject_name(made.get()), NID_commonName, text, sizeof text);
  EXPECT_EQ(text, name);
  ASSERT_EQ(run({"-outdir", directory_.file("none"), "-alg=ed25519", "-name="}).code, 0);
  const CertificatePtr empty = certificate(directory_.file("none/ca.crt"));
  EXPECT_EQ(X509_NAME_entry_count(X509_get_subject_name(empty.get())), 0);
}

TEST_F(GenerateCaTest, WordsThatAreNotUnderstood) {
  struct Row {
    std::vector<std::string> arguments;
    int code;
    std::string first_line;
  };
  for (const Row& row :
       std::vector<Row>{{{"-h"}, 0, ""},
                        {{"--help"}, 0, ""},
                        {{"-bogus"}, 2, "flag provided but not defined: -bogus\n"},
                        {{"-expiry-hours", "abc"},
                         2,
                         "invalid value \"abc\" for flag -expiry-hours: parse error\n"},
                        {{"-expiry-hours"}, 2, "flag needs an argument: -expiry-hours\n"}}) {
    const Outcome outcome = run(row.arguments);
    EXPECT_EQ(outcome.code, row.code);
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(outcome.error, row.first_line + kUsage);
  }
}

TEST_F(GenerateCaTest, Faults) {
  Outcome outcome = run({"-alg", "foo"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_EQ(outcome.error, "error: unsupported algorithm \"foo\" (use rsa4096 or ed25519)\n");
  outcome = run({"-alg", "ed25519", "-outdir", "/proc/x"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_EQ(outcome.error,
            "error: creating output directory: mkdir /proc/x: no such file or directory\n");
  const std::string file = directory_.write("file", "");
  outcome = run({"-alg", "ed25519", "-outdir", file});
  EXPECT_EQ(outcome.error,
            "error: creating output directory: mkdir " + file + ": not a directory\n");
  outcome = run(
      {"-alg", "ed25519", "-outdir", directory_.path(), "-expiry-hours", "9223372036854775807"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.error, StartsWith("error: creating CA certificate: "));
}

TEST_F(GenerateCaTest, NothingIsOverwritten) {
  const std::string ca = directory_.file("ca.crt"), key = directory_.write("ca.key", "mine");
  Outcome outcome = run({"-alg", "ed25519", "-outdir", directory_.path() + "/./"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_EQ(outcome.error, "error: creating " + key + ": open " + key + ": file exists\n");
  EXPECT_NE(certificate(ca), nullptr);  // stays behind
  EXPECT_EQ(test::read_file(key), "mine");
  outcome = run({"-alg", "ed25519", "-outdir", directory_.path()});
  EXPECT_EQ(outcome.error, "error: creating " + ca + ": open " + ca + ": file exists\n");
}

}  // namespace
}  // namespace iron::tls
