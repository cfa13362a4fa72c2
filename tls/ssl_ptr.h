#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>

namespace iron::tls {

/// Deleter for OpenSSL objects: `SslPtr<X509, X509_free>`.
template <auto Free>
struct FreeWith {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};
template <class T, auto Free>
using SslPtr = std::unique_ptr<T, FreeWith<Free>>;

using CertificatePtr = SslPtr<X509, X509_free>;
using KeyPtr = SslPtr<EVP_PKEY, EVP_PKEY_free>;
using ExtensionPtr = SslPtr<X509_EXTENSION, X509_EXTENSION_free>;

/// What OpenSSL gives to be freed with OPENSSL_free().
template <class T>
using SslMemory = SslPtr<T, [](void* memory) { OPENSSL_free(memory); }>;

}  // namespace iron::tls
