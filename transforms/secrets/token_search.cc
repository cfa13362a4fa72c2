#include "transforms/secrets/token_search.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace iron::transforms {
namespace {

std::size_t slot_of(std::uint64_t key, std::size_t mask) {
  return static_cast<std::size_t>((key * 0x9E3779B97F4A7C15U) >> 29) & mask;
}

}  // namespace

std::uint32_t TokenSearch::add(std::string_view token) {
  const auto [found, added] = ids_.emplace(token, static_cast<std::uint32_t>(tokens_.size()));
  if (added) tokens_.emplace_back(token);
  return found->second;
}

std::uint32_t TokenSearch::child(std::uint32_t state, unsigned char byte) const {
  if (state == 0) return root_[byte];
  const std::uint64_t key = key_of(state, byte);
  const std::size_t mask = edges_.size() - 1;
  for (std::size_t i = slot_of(key, mask); edges_[i].key != 0; i = (i + 1) & mask) {
    if (edges_[i].key == key) return edges_[i].target;
  }
  return 0;
}

void TokenSearch::add_edge(std::uint64_t key, std::uint32_t target) {
  const std::size_t mask = edges_.size() - 1;
  std::size_t i = slot_of(key, mask);
  while (edges_[i].key != 0) i = (i + 1) & mask;
  edges_[i] = {key, target};
}

void TokenSearch::build() {
  std::size_t bytes = 1;
  for (const std::string& token : tokens_) bytes += token.size();
  edges_.assign(std::bit_ceil(bytes * 2), {});
  states_.assign(1, {});
  root_.fill(0);
  struct Link {
    std::uint32_t parent, state;
    unsigned char byte;
    std::size_t depth;
  };
  std::vector<Link> links;
  for (std::uint32_t id = 0; id < tokens_.size(); ++id) {
    std::uint32_t state = 0;
    std::size_t depth = 0;
    for (const char c : tokens_[id]) {
      const auto byte = static_cast<unsigned char>(c);
      ++depth;
      std::uint32_t next = child(state, byte);
      if (next == 0) {
        next = static_cast<std::uint32_t>(states_.size());
        states_.emplace_back();
        if (state == 0) {
          root_[byte] = next;
        } else {
          add_edge(key_of(state, byte), next);
        }
        links.push_back({state, next, byte, depth});
      }
      state = next;
    }
    if (state != 0) states_[state].token = id + 1;
  }
  std::sort(links.begin(), links.end(),
            [](const Link& a, const Link& b) { return a.depth < b.depth; });
  for (const Link& link : links) {
    State& state = states_[link.state];
    state.fail = link.parent == 0 ? 0 : step(states_[link.parent].fail, link.byte);
    state.report = state.token != 0 ? link.state : states_[state.fail].report;
  }
}

}  // namespace iron::transforms
