#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/fuzz/scrub_places.h"

namespace iron::fuzz::scrub_model {

struct Replaced {
  std::string text;
  std::vector<std::pair<std::size_t, std::size_t>> written;  ///< where tokens and recoded texts are
};

/// What the filter makes of the stream's bytes before `until`: places that overlap are one, which
/// belongs to the one that starts first and ends as the last one does. `ends`: the stream does.
Replaced replaced(std::string_view stream,
                  const std::vector<Place>& places,
                  const std::vector<Form>& forms,
                  std::size_t until,
                  bool ends,
                  const std::function<std::string(std::size_t)>& token);

}  // namespace iron::fuzz::scrub_model
