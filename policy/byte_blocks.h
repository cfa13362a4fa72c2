#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace iron::policy {

/// Eight bytes as one number, for questions that are asked of all of them at once.
inline constexpr std::size_t kByteBlock = sizeof(std::uint64_t);
inline constexpr std::uint64_t kEachByte = 0x0101010101010101;  ///< times b: b in each byte
inline constexpr std::uint64_t kEachTop = 0x8080808080808080;

/// How many bytes from the front of `text` are in blocks of which `passes(block)` holds; all of
/// them if the last block, which may overlap the one before it, passes too. `passes` may say no of
/// a block that is fine.
template <class Passes>
std::size_t passing_blocks(std::string_view text, Passes passes) {
  const auto passes_at = [&](std::size_t at) {
    std::uint64_t block = 0;
    std::memcpy(&block, text.data() + at, sizeof block);
    return passes(block);
  };
  std::size_t size = 0;
  while (text.size() - size >= kByteBlock && passes_at(size)) size += kByteBlock;
  const bool at_tail = size > 0 && text.size() - size < kByteBlock;
  return at_tail && passes_at(text.size() - kByteBlock) ? text.size() : size;
}

}  // namespace iron::policy
