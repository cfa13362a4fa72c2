#include "policy/http_message.h"

#include <algorithm>

namespace iron {

bool iequals(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const auto x = static_cast<unsigned char>(a[i]);
    const auto y = static_cast<unsigned char>(b[i]);
    if (x == y) continue;
    const unsigned folded = x | 0x20U;
    if ((x ^ y) != 0x20 || folded < 'a' || folded > 'z') return false;
  }
  return true;
}

const Field* Headers::find(std::string_view name) const {
  for (const Field& field : fields_) {
    if (iequals(field.name, name)) return &field;
  }
  return nullptr;
}

std::size_t Headers::count(std::string_view name) const {
  return static_cast<std::size_t>(std::ranges::count_if(
      fields_, [name](const Field& field) { return iequals(field.name, name); }));
}

}  // namespace iron
