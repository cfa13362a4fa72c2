#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "policy/secret/secret.h"
#include "policy/secret/secret_array.h"

namespace iron::transforms {

/// Finds keys in text that should hold none, as the last net in front of the log (docs/records.md,
/// "Keys"): as they are, form- and path-encoded, in base64 behind other bytes, each also with the
/// escapes of a JSON string. Once built it does not read the keys any more, so that looking for
/// one leaves none in registers or on a stack: it knows keyed hashes alone, in secret memory.
/// Immutable.
class KeyNet {
 public:
  /// Shorter keys are not looked for: they may be words.
  static constexpr std::size_t kShortest = 16;

  explicit KeyNet(std::span<const Secret* const> keys);

  /// Writes `*` over each spelling of a key that `text` has whole; true if there was one.
  bool mask(std::span<char> text) const;

 private:
  // Every text of 15 bytes has a row of 8 that begins at a multiple of 8 of the whole. So it is
  // enough to look at those, if all eight rows in a spelling's last 15 bytes are known. The last,
  // for keys of one kind begin alike.
  static constexpr std::size_t kRow = 8;
  /// A row of a spelling. `to_end`: bytes from the row's first to the spelling's end; 0: free.
  struct Row {
    std::uint32_t hash;
    std::uint32_t spelling : 28, to_end : 4;
  };
  struct Spelling {
    std::uint64_t length, hash;
  };
  struct Numbers {
    std::uint64_t multiplier, point;
  };

  void add(std::string_view spelling, std::uint32_t id);
  static std::uint64_t row_hash(const char* row, std::uint64_t multiplier);
  std::uint64_t hash(std::string_view text) const;
  std::size_t next_marked(std::span<const char> text, std::size_t at) const;
  bool mask_at(std::span<char> text, std::size_t at) const;
  std::span<char> spelled(const Row& row, std::span<char> text, std::size_t at) const;

  SecretArray<Numbers> numbers_;
  SecretArray<Row> rows_;
  SecretArray<Spelling> spellings_;
  SecretArray<std::uint64_t> marks_;  ///< a bit for each hash of a row: most texts have none
  unsigned row_shift_ = 0, mark_shift_ = 0;
};

}  // namespace iron::transforms
