#include "policy/errno_text.h"

#include <system_error>

namespace iron::policy {

std::string errno_text(int error) {
  std::string text = std::generic_category().message(error);
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

}  // namespace iron::policy
