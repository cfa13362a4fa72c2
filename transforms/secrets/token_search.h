#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace iron::transforms {

/// Finds all occurrences of many tokens in one pass over a text, in time that does not grow with
/// the number of tokens (Aho-Corasick with failure links). Immutable after build().
class TokenSearch {
 public:
  /// Number of the token; equal tokens share one. Tokens are not empty.
  std::uint32_t add(std::string_view token);
  void build();
  std::size_t size() const { return tokens_.size(); }
  const std::string& token(std::uint32_t id) const { return tokens_[id]; }

  /// Calls visit(begin, token) for every occurrence, overlapping ones too, ordered by their end.
  template <class Visit>
  void find_all(std::string_view text, Visit visit) const {
    std::uint32_t state = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
      state = step(state, static_cast<unsigned char>(text[i]));
      for (std::uint32_t s = states_[state].report; s != 0; s = states_[states_[s].fail].report) {
        const std::uint32_t id = states_[s].token - 1;
        visit(i + 1 - tokens_[id].size(), id);
      }
    }
  }

 private:
  struct State {
    std::uint32_t fail = 0;
    std::uint32_t token = 0;  ///< 1 + token that ends here
    std::uint32_t report =
        0;  ///< nearest state on the failure chain, this one included, with a token
  };
  struct Edge {
    std::uint64_t key = 0;  ///< 0: free
    std::uint32_t target = 0;
  };

  static std::uint64_t key_of(std::uint32_t state, unsigned char byte) {
    return (std::uint64_t{state} << 8 | byte) + 1;
  }
  std::uint32_t child(std::uint32_t state, unsigned char byte) const;
  void add_edge(std::uint64_t key, std::uint32_t target);
  std::uint32_t step(std::uint32_t state, unsigned char byte) const {
    while (state != 0) {
      if (const std::uint32_t next = child(state, byte)) return next;
      state = states_[state].fail;
    }
    return root_[byte];
  }

  std::vector<std::string> tokens_;
  std::unordered_map<std::string, std::uint32_t> ids_;
  std::vector<State> states_;
  std::array<std::uint32_t, 256> root_{};
  std::vector<Edge> edges_;  ///< open addressing, size a power of two
};

}  // namespace iron::transforms
