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
/// it (RFC 4648 section 4): first those that it has for itself, then with those that it shares.
void ScrubForms::add_base64(std::string_view value) {
  for (std::size_t before = 0; before < 3; ++before) {
    Secret encoded = Secret::sized(Base64Writer::length(before + value.size()));
    Base64Writer writer(encoded.writable().data());
    writer.feed(std::string_view("\0\0", before));
    writer.feed(value);
    writer.finish();
    const std::size_t bits = (before + value.size()) * 8;
    const auto lead_free = static_cast<std::uint8_t>(before * 8 % 6);
    const auto trail_free = static_cast<std::uint8_t>((6 - bits % 6) % 6);
    const auto characters = [&](std::size_t first, std::size_t end) {
      return encoded.reveal().substr(first, end - first);
    };
    const bool shares = lead_free > 0 || trail_free > 0;
    if (shares) forms_.push_back({Kind::base64, characters((before * 8 + 5) / 6, bits / 6)});
    forms_.push_back(
        {Kind::base64, characters(before * 8 / 6, (bits + 5) / 6), lead_free, trail_free, true});
    own_.push_back(std::move(encoded));
  }
}

ScrubForms::ScrubForms(const Secret& value, const Secret& sent) : ScrubForms(value) {
  std::string_view text = trimmed(sent.reveal());
  if (text.empty() || (!forms_.empty() && text.find(forms_.front().bytes) != text.npos)) return;
  const bool is_basic = iequals(text.substr(0, kBasic.size()), kBasic);
  if (is_basic) text.remove_prefix(kBasic.size());
  const bool shown =
      is_basic && std::ranges::any_of(forms_, [&](const Form& form) {
        return form.kind == Kind::base64 && !form.whole && text.find(form.bytes) != text.npos;
      });
  if (text.empty() || shown) return;
  if (is_basic) {
    forms_.push_back({Kind::base64, text, 0, 0, true});
  } else {
    forms_.push_back({Kind::text, text});
  }
}

ScrubForms ScrubForms::basic(Secret payload) {
  ScrubForms forms;
  if (!payload.empty()) forms.forms_.push_back({Kind::base64, payload.reveal(), 0, 0, true});
  forms.own_.push_back(std::move(payload));
  return forms;
}

}  // namespace iron::transforms
