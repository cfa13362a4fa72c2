#include "tls/trust.h"

#include <dirent.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <new>
#include <string_view>
#include <system_error>
#include <unordered_set>
#include <vector>

#include "tls/rejected_certificate.h"
#include "tls/ssl_ptr.h"
#include "tls/upstream_library.h"

namespace iron::tls {
namespace {

constexpr const char* kBundles[] = {
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
};
constexpr const char* kDirectories[] = {"/etc/ssl/certs", "/etc/pki/tls/certs"};
constexpr const char* kLinkTargets[] = {"/usr/share/ca-certificates",
                                        "/usr/local/share/ca-certificates", "/etc/pki/ca-trust",
                                        "/etc/ca-certificates", "/var/lib/ca-certificates"};
constexpr std::int64_t kLargestFile = 64 << 20;

/// The whole of a regular file; false if it cannot be read. A pipe in a directory must not block.
bool read_regular_file(const std::string& path, std::string& bytes) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) return false;
  struct stat status{};
  bool good =
      ::fstat(file, &status) == 0 && S_ISREG(status.st_mode) && status.st_size <= kLargestFile;
  if (good) bytes.resize(static_cast<std::size_t>(status.st_size));
  for (std::size_t have = 0; good && have < bytes.size();) {
    const ssize_t count = ::read(file, bytes.data() + have, bytes.size() - have);
    good = count > 0;
    if (good) have += static_cast<std::size_t>(count);
  }
  ::close(file);
  return good;
}

/// What could not be read is stepped over; what memory was missing for must not be, for it would
/// be missing as long as the process runs.
void refuse_to_go_on_without_memory() {
  bool missing = false;
  for (unsigned long code = ERR_get_error(); code != 0; code = ERR_get_error()) {
    missing = missing || ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE;
  }
  if (missing) throw std::bad_alloc();
}

/// The trust store while it is filled. A bundle and a directory mostly hold the same certificates;
/// reading one is the expensive part, so each is read once.
class Builder {
 public:
  explicit Builder(X509_STORE* store) : store_(store) {}

  bool add_file(const std::string& path) {
    std::string text;
    if (!read_regular_file(path, text)) return false;
    add_text(text);
    return true;
  }

  void add_text(std::string_view rest) {
    while (!rest.empty()) {
      const std::size_t taken = add_next(rest);
      refuse_to_go_on_without_memory();
      if (taken == 0) break;
      rest.remove_prefix(taken);
    }
  }

  void add_directory(const std::string& path) {
    const SslPtr<DIR, ::closedir> directory(::opendir(path.c_str()));
    if (!directory) return;
    while (const dirent* entry = ::readdir(directory.get())) {
      if (entry->d_name[0] == '.' && (entry->d_name[1] == '\0' || entry->d_name[1] == '.'))
        continue;
      add_file(path + "/" + entry->d_name);
    }
  }

 private:
  /// One block of a file; anything but a plain certificate is stepped over. The bytes up to the
  /// next one. What cannot be read is read again: where memory is short OpenSSL does not always say
  /// so.
  std::size_t add_next(std::string_view text) {
    std::size_t taken = 0;
    for (int tries = 0; tries < 2; ++tries) {
      const SslPtr<BIO, BIO_free> input(
          BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
      if (!input) throw std::bad_alloc();
      char* name = nullptr;
      char* header = nullptr;
      unsigned char* data = nullptr;
      long size = 0;
      const bool read = PEM_read_bio(input.get(), &name, &header, &data, &size) == 1;
      const bool nothing = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
      taken = text.size() - BIO_ctrl_pending(input.get());
      const SslMemory<char> name_owner(name), header_owner(header);
      const SslMemory<unsigned char> data_owner(data);
      if (read && std::string_view(name) == PEM_STRING_X509 && *header == '\0') add(data, size);
      if (read || nothing) break;
    }
    return taken;
  }

  void add(const unsigned char* der, long size) {
    std::string digest(EVP_MAX_MD_SIZE, '\0');
    unsigned int length = 0;
    if (EVP_Digest(der, static_cast<std::size_t>(size),
                   reinterpret_cast<unsigned char*>(digest.data()), &length, EVP_sha256(),
                   nullptr) != 1) {
      throw std::bad_alloc();
    }
    if (!seen_.insert(digest.substr(0, length)).second) return;
    CertificatePtr certificate = parse(der, size);
    if (!is_sound(certificate.get())) certificate = parse(der, size);
    if (certificate && X509_STORE_add_cert(store_, certificate.get()) != 1) throw std::bad_alloc();
  }

  CertificatePtr parse(const unsigned char* der, long size) {
    X509* parsed = X509_new_ex(library_, nullptr);
    d2i_X509(&parsed, &der, size);  // what cannot be parsed is freed, and null then
    return CertificatePtr(parsed);
  }

  /// Has OpenSSL read all of it, which it does once.
  static bool is_sound(X509* certificate) {
    return certificate != nullptr && X509_get0_pubkey(certificate) != nullptr &&
           X509_check_purpose(certificate, -1, 0) == 1;
  }

  X509_STORE* store_;
  OSSL_LIB_CTX* library_ = upstream_library();
  std::unordered_set<std::string> seen_;
};

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

/// Files elsewhere to which the links in a directory lead.
void add_link_targets(std::vector<std::string>& paths, const std::string& directory) {
  constexpr int kMost = 1024;
  std::error_code error;
  int left = kMost;
  for (std::filesystem::directory_iterator entry(directory, error), end;
       !error && entry != end && --left > 0; entry.increment(error)) {
    std::error_code ignored;
    if (!entry->is_symlink(ignored)) continue;
    auto target = std::filesystem::canonical(entry->path(), ignored);
    if (!ignored) paths.push_back(target.string());
  }
}

/// The directories of a list as SSL_CERT_DIR has it.
std::vector<std::string> split_directories(const std::string& list) {
  std::vector<std::string> directories;
  for (std::size_t start = 0; start <= list.size();) {
    const std::size_t end = std::min(list.find(':', start), list.size());
    directories.push_back(list.substr(start, end - start));
    start = end + 1;
  }
  return directories;
}

TrustStorePtr empty_store() {
  ERR_clear_error();  // what an earlier try left
  TrustStorePtr store(X509_STORE_new());
  if (!store) throw std::bad_alloc();
  // Whatever is in the store is an anchor, also if it is not self-signed.
  X509_STORE_set_flags(store.get(), X509_V_FLAG_PARTIAL_CHAIN);
  X509_STORE_set_verify_cb(store.get(), review_verification);
  return store;
}

}  // namespace

std::vector<std::string> trust_paths() {
  std::vector<std::string> paths;
  if (const std::string file = environment("SSL_CERT_FILE"); !file.empty()) {
    paths.push_back(file);
  } else {
    paths.assign(std::begin(kBundles), std::end(kBundles));
  }
  if (const std::string list = environment("SSL_CERT_DIR"); !list.empty()) {
    for (std::string& directory : split_directories(list)) {
      add_link_targets(paths, directory);
      paths.push_back(std::move(directory));
    }
  } else {
    paths.insert(paths.end(), std::begin(kDirectories), std::end(kDirectories));
  }
  paths.insert(paths.end(), std::begin(kLinkTargets), std::end(kLinkTargets));
  return paths;
}

TrustStorePtr make_trust_store(std::string_view pem, X509_STORE* beside) {
  TrustStorePtr store = empty_store();
  Builder(store.get()).add_text(pem);
  if (sk_X509_OBJECT_num(X509_STORE_get0_objects(store.get())) == 0) return nullptr;
  const STACK_OF(X509_OBJECT)* others =
      beside != nullptr ? X509_STORE_get0_objects(beside) : nullptr;
  for (int i = 0; i < sk_X509_OBJECT_num(others); ++i) {  // -1 of none
    X509* anchor = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(others, i));
    if (anchor != nullptr && X509_STORE_add_cert(store.get(), anchor) != 1) throw std::bad_alloc();
  }
  return store;
}

TrustStorePtr load_trust_store() {
  TrustStorePtr store = empty_store();
  Builder builder(store.get());

  if (const std::string file = environment("SSL_CERT_FILE"); !file.empty()) {
    builder.add_file(file);
  } else {
    for (const char* bundle : kBundles) {
      if (builder.add_file(bundle)) break;
    }
  }
  if (const std::string list = environment("SSL_CERT_DIR"); !list.empty()) {
    for (const std::string& directory : split_directories(list)) builder.add_directory(directory);
  } else {
    for (const char* directory : kDirectories) builder.add_directory(directory);
  }
  return store;
}

}  // namespace iron::tls
