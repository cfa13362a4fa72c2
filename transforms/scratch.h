#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace iron {
class Secret;
}

namespace iron::transforms {

class SecretForms;

/// Working memory of the transforms, kept with an exchange for its capacity alone: nothing in it
/// means anything between two calls, and no key byte is ever written to it.
struct Scratch {
  /// An entry of `secrets` that applies to the request.
  struct Active {
    std::uint32_t entry = 0;
    const Secret* value = nullptr;       ///< what is put in
    const SecretForms* forms = nullptr;  ///< of the entry's value
    std::uint32_t next = 0;              ///< 1 + index of the next active entry with the same token
    bool hit = false;
  };
  /// An occurrence of a token.
  struct Hit {
    std::size_t begin = 0, length = 0;
    std::uint32_t active = 0;
  };
  /// Where an entry put its value in, for the annotation.
  struct Location {
    enum class Place : std::uint8_t { header, query, path, body } place = Place::header;
    std::uint32_t active = 0;
    std::uint32_t rank = 0;  ///< order of `match_headers` entries
    std::size_t index = 0;   ///< of the field, or offset of the query pair
  };

  std::vector<std::uint32_t> rules;
  std::vector<Active> active;
  std::vector<std::uint32_t> unavailable;
  std::vector<std::uint32_t>
      first_active;  ///< by token: 1 + index into `active`; all zero between calls
  std::vector<Hit> hits;
  std::vector<Location> locations;
  std::string text;
};

}  // namespace iron::transforms
