#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "transforms/exchange.h"
#include "transforms/secrets/secret_entry.h"
#include "transforms/secrets/token_search.h"

namespace iron::transforms {

using SecretEntries = std::vector<std::unique_ptr<const SecretEntry>>;

/// Looks for the tokens of the active entries in what the client sent and notes what replaces them.
/// All entries are searched for together: of overlapping hits the one that starts first stands,
/// then the one of the earlier entry; hits of an earlier transform stand in any case.
class SecretSearch {
 public:
  enum class Purpose {
    rewrite,  ///< write the substitutions and their places to the exchange
    probe,    ///< only mark the active entries that have a hit
  };
  /// Works on exchange.scratch.active, in the order of the entries.
  SecretSearch(const SecretEntries& entries,
               const TokenSearch& tokens,
               Exchange& exchange,
               Purpose purpose);
  ~SecretSearch();
  SecretSearch(const SecretSearch&) = delete;
  SecretSearch& operator=(const SecretSearch&) = delete;

  void run();

 private:
  using Place = Scratch::Location::Place;

  const SecretEntry& entry(std::uint32_t active) const {
    return *entries_[scratch_.active[active].entry];
  }
  void search_field(std::size_t index);
  void search_fields();
  void search_query();
  void search_pair(std::string_view pair, std::size_t begin);
  void search_path();
  void search_body();
  void write_body_hits();
  /// First active entry that puts its own value where the client's field or pair was.
  std::uint32_t overwritten_by(std::string SecretEntry::* target, std::string_view name) const;

  template <class Admit>
  void collect(std::string_view text, Admit admit);
  bool resolve(const std::vector<Substitution>* taken);
  void write_hits(std::vector<Substitution>& parts) const;
  static void sort_parts(std::vector<Substitution>& parts);
  void note_places(Place place, std::size_t index);

  const SecretEntries& entries_;
  const TokenSearch& tokens_;
  Exchange& exchange_;
  Scratch& scratch_;
  const Purpose purpose_;
  std::uint32_t replacing_ = 0;  ///< active `replace` entries
  bool injects_header_ = false, injects_query_ = false;
  bool match_query_ = false, match_path_ = false, match_body_ = false;
};

}  // namespace iron::transforms
