#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace iron {

/// Owns the bytes of a real key. They live in pages that cannot be read through /proc/<pid>/mem
/// (`memfd_secret`, else locked pages that are left out of core files), are wiped on destruction,
/// and have no stream operator, no conversion to std::string and no copy. Thread safe to read.
/// See docs/policy.md, "Keys in memory".
class Secret {
 public:
  Secret() = default;
  /// Copies `bytes` into secret pages. The caller wipes its own copy.
  static Secret copy_of(std::string_view bytes);
  /// `size` zero bytes to be filled through writable().
  static Secret sized(std::size_t size);
  Secret(Secret&& other) noexcept;
  Secret& operator=(Secret&& other) noexcept;
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret();

  /// The bytes themselves. Only code that writes to the upstream, or derives another Secret, calls
  /// it.
  std::string_view reveal() const { return {data_, size_}; }
  std::span<char> writable() { return {data_, size_}; }
  /// Cuts the length; the bytes behind it are wiped.
  void shrink(std::size_t size);
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  /// Comparison whose time does not depend on where the difference is.
  bool equals(std::string_view other) const;

 private:
  char* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

/// Where secret bytes are kept; for the start-up record `hardening` and for the memory scan test.
enum class SecretMemory {
  memfd_secret,
  locked_pages,  ///< `mlock`, left out of core files, wiped in a child
  plain_pages,   ///< as locked_pages, but the system grants no locked memory
};
SecretMemory secret_memory();
/// Maps the arena. Called by main before any thread starts and before confinement; later calls do
/// nothing.
void prepare_secret_memory();

/// Overwrites `bytes` in a way the compiler keeps, and the vector registers through which they may
/// have come.
void wipe(std::span<char> bytes);

/// The variables named by secret sources. The first look at a name copies the value into a Secret
/// and overwrites it in the process environment in place (filled with blanks, so that
/// /proc/<pid>/environ keeps its other entries readable). Values are kept for the life of the
/// process: a reload finds them again. One object, made by main. find() is thread safe.
class SecretEnvironment {
 public:
  SecretEnvironment();
  ~SecretEnvironment();
  SecretEnvironment(const SecretEnvironment&) = delete;
  SecretEnvironment& operator=(const SecretEnvironment&) = delete;
  /// Takes the variable out of the environment now. Called for each source while a pipeline is
  /// built.
  void take(const std::string& variable);
  /// The value, or null if it was unset or empty. Valid as long as this object.
  const Secret* find(const std::string& variable) const;

 private:
  struct State;
  State* state_;
};

}  // namespace iron
