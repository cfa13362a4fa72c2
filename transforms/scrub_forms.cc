#include "transforms/scrub_forms.h"

#include <algorithm>
#include <utility>

#include "policy/http_message.h"
#include "transforms/encoding.h"

namespace iron::transforms {
namespace {

constexpr std::size_t kShortest = 4;  // below it base64 and hex forms are everywhere
constexpr std::string_view kBasic = "Basic ";

/// A field loses the blanks around its value, so an echo does too.
std::string_view trimmed(std::string_view bytes) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const std::size_t first = std::min(bytes.find_first_not_of(kBlanks), bytes.size());
  bytes.remove_prefix(first);
  return bytes.substr(0, bytes.find_last_not_of(kBlanks) + 1);
}

}  // namespace

ScrubForms::ScrubForms(const Secret& value) {
  const std::string_view bytes = trimmed(value.reveal());
  if (bytes.empty()) return;
  forms_.push_back({Kind::text, bytes});
  if (bytes.size() < kShortest) return;
  forms_.push_back({Kind::hex, bytes});
  add_base64(bytes);
}

/// Behind 0, 1 or 2 other bytes the value has these characters, whatever stands before and after
/// it; characters that share bits with a neighbour are left out (RFC 4648 section 4).
void ScrubForms::add_base64(std::string_view value) {
  for (std::size_t before = 0; before < 3; ++before) {
    Secret encoded = Secret::sized(Base64Writer::length(before + value.size()));
    Base64Writer writer(encoded.writable().data());
    writer.feed(std::string_view("\0\0", before));
    writer.feed(value);
    writer.finish();
    const std::size_t first = (before * 8 + 5) / 6;
    const std::size_t end = (before + value.size()) * 8 / 6;
    forms_.push_back({Kind::base64, encoded.reveal().substr(first, end - first)});
    own_.push_back(std::move(encoded));
  }
}

ScrubForms::ScrubForms(const Secret& value, const Secret& sent) : ScrubForms(value) {
  std::string_view text = trimmed(sent.reveal());
  if (text.empty() || (!forms_.empty() && text.find(forms_.front().bytes) != text.npos)) return;
  const bool is_basic = iequals(text.substr(0, kBasic.size()), kBasic);
  if (is_basic) text.remove_prefix(kBasic.size());
  if (!text.empty()) forms_.push_back({is_basic ? Kind::base64 : Kind::text, text});
}

ScrubForms ScrubForms::basic(Secret payload) {
  ScrubForms forms;
  if (!payload.empty()) forms.forms_.push_back({Kind::base64, payload.reveal()});
  forms.own_.push_back(std::move(payload));
  return forms;
}

}  // namespace iron::transforms
