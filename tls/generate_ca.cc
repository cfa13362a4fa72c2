#include "tls/generate_ca.h"

#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <string_view>

#include "policy/config/go_flags.h"
#include "policy/errno_text.h"
#include "policy/quote.h"
#include "policy/result.h"
#include "tls/error_text.h"
#include "tls/extensions.h"
#include "tls/ssl_ptr.h"

namespace iron::tls {
namespace {

using BioPtr = SslPtr<BIO, BIO_free>;
constexpr unsigned kRsaBits = 4096;
constexpr std::int64_t kMinute = 60, kHour = 3600;
/// Far beyond the year 9999, where a certificate's time ends, and far from overflow.
constexpr std::int64_t kMostHours = std::int64_t{1} << 40;

struct Options {
  std::string directory = ".", name = "iron-proxy CA", algorithm = "rsa4096";
  std::int64_t expiry_hours = 8760;
};

bool is_directory(const std::string& path) {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

/// Makes `path` and its missing parents. The error names the element that could not be made.
Result<void> make_directories(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) == 0) {
    if (S_ISDIR(status.st_mode)) return boost::system::in_place_value;
    return fail("mkdir " + path + ": " + policy::errno_text(ENOTDIR));
  }
  std::size_t end = path.size();
  while (end > 0 && path[end - 1] == '/') --end;
  while (end > 0 && path[end - 1] != '/') --end;
  if (end > 1) {
    Result<void> parent = make_directories(path.substr(0, end - 1));
    if (!parent) return parent;
  }
  if (::mkdir(path.c_str(), 0755) == 0) return boost::system::in_place_value;
  const int error = errno;
  if (is_directory(path)) return boost::system::in_place_value;
  return fail("mkdir " + path + ": " + policy::errno_text(error));
}

Result<CertificatePtr> self_signed(EVP_PKEY* key, const Options& options) {
  CertificatePtr certificate(X509_new());
  X509* made = certificate.get();
  if (made == nullptr || X509_set_version(made, X509_VERSION_3) != 1 || !set_random_serial(made)) {
    return fail(take_openssl_error());
  }
  const std::int64_t now = static_cast<std::int64_t>(std::time(nullptr));
  if (options.expiry_hours > kMostHours || options.expiry_hours < -kMostHours ||
      !set_validity(made, now - kMinute, now + options.expiry_hours * kHour)) {
    return fail("asn1: structure error: cannot represent time as GeneralizedTime");
  }
  X509_NAME* subject = X509_get_subject_name(made);
  if ((!options.name.empty() && !set_common_name(subject, options.name)) ||
      X509_set_issuer_name(made, subject) != 1 || X509_set_pubkey(made, key) != 1 ||
      !add_extension(made, key_usage_certificate_and_crl_sign()) ||
      !add_extension(made, basic_constraints_last_ca()) ||
      !add_extension(made, subject_key_identifier(made)) ||
      X509_sign(made, key, signature_digest(key)) <= 0) {
    return fail(take_openssl_error());
  }
  return certificate;
}

/// Writes a file that must not exist yet.
Result<void> write_new_file(const std::string& path, mode_t mode, BIO* content) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (file < 0)
    return fail("creating " + path + ": open " + path + ": " + policy::errno_text(errno));
  char* bytes = nullptr;
  long left = BIO_get_mem_data(content, &bytes);
  int error = 0;
  while (left > 0 && error == 0) {
    const ssize_t count = ::write(file, bytes, static_cast<std::size_t>(left));
    if (count >= 0) {
      bytes += count;
      left -= count;
    } else if (errno != EINTR) {
      error = errno;
    }
  }
  if (::close(file) != 0 && error == 0) error = errno;
  if (error != 0)
    return fail("writing " + path + ": write " + path + ": " + policy::errno_text(error));
  return boost::system::in_place_value;
}

Result<void> write_pair(const Options& options, EVP_PKEY* key, X509* certificate) {
  const std::filesystem::path directory(options.directory);
  const std::string certificate_path = (directory / "ca.crt").lexically_normal();
  const std::string key_path = (directory / "ca.key").lexically_normal();

  const BioPtr certificate_text(BIO_new(BIO_s_mem()));
  const BioPtr key_text(BIO_new(BIO_s_secmem()));  // wiped when it is freed
  if (!certificate_text || !key_text ||
      PEM_write_bio_X509(certificate_text.get(), certificate) != 1 ||
      PEM_write_bio_PKCS8PrivateKey(key_text.get(), key, nullptr, nullptr, 0, nullptr, nullptr) !=
          1) {
    return fail("encoding CA: " + take_openssl_error());
  }
  Result<void> written = write_new_file(certificate_path, 0644, certificate_text.get());
  if (!written) return written;
  written = write_new_file(key_path, 0600, key_text.get());
  if (!written) return written;
  std::printf("wrote %s\nwrote %s\n", certificate_path.c_str(), key_path.c_str());
  return boost::system::in_place_value;
}

Result<void> generate(const Options& options) {
  const bool rsa = options.algorithm == "rsa4096";
  if (!rsa && options.algorithm != "ed25519") {
    return fail("unsupported algorithm " + policy::quoted(options.algorithm) +
                " (use rsa4096 or ed25519)");
  }
  Result<void> made = make_directories(options.directory);
  if (!made) return fail("creating output directory: " + made.error().text);
  const KeyPtr key(rsa ? EVP_RSA_gen(kRsaBits) : EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  if (!key) return fail("generating CA key: " + take_openssl_error());
  Result<CertificatePtr> certificate = self_signed(key.get(), options);
  if (!certificate) return fail("creating CA certificate: " + certificate.error().text);
  return write_pair(options, key.get(), certificate->get());
}

}  // namespace

int generate_ca(const std::vector<std::string>& arguments) {
  Options options;
  policy::GoFlags flags("generate-ca");
  flags.add("outdir", &options.directory, "directory to write ca.crt and ca.key");
  flags.add("name", &options.name, "common name of the CA");
  flags.add("expiry-hours", &options.expiry_hours, "number of hours the CA is valid for");
  flags.add("alg", &options.algorithm, "key algorithm: rsa4096 or ed25519");

  std::string message;
  switch (flags.parse(arguments, message)) {
    case policy::GoFlags::Outcome::parsed:
      break;
    case policy::GoFlags::Outcome::help:
      std::fputs(message.c_str(), stderr);
      return 0;
    case policy::GoFlags::Outcome::bad:
      std::fputs(message.c_str(), stderr);
      return 2;
  }
  const Result<void> done = generate(options);
  if (done) return 0;
  std::fprintf(stderr, "error: %s\n", done.error().text.c_str());
  return 1;
}

}  // namespace iron::tls
