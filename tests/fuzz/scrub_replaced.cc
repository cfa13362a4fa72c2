#include "tests/fuzz/scrub_replaced.h"

#include <cctype>

namespace iron::fuzz::scrub_model {
namespace {

/// Texts that a decoder reads as a row of bits, with the codings in which the answer has them.
class Base64Run {
 public:
  bool open = false;
  std::string* out = nullptr;

  void begin(const Form& form, const Written& written, std::string_view token) {
    const auto lead = written.lead >> (6 - form.lead);
    if (!open || (data_ + form.lead) % 8 != 0) {
      close();
      open = true;
      characters_ = form.lead / 2;
      data_ = 8 - form.lead;
    }
    coding_.add(written.coding);
    add(form.lead == 0 ? 0 : lead, form.lead);
    for (const char c : token) add(static_cast<unsigned char>(c), 8);
  }
  /// Behind the last place that overlaps.
  void end(const Form& form, const Written& written) {
    if (!open) return;
    if (form.kind != Kind::base64 || !form.whole) return close();
    add(written.trail & ((1U << form.trail) - 1), form.trail);
    padded_ = padded_ || form.bytes.ends_with('=');
  }
  /// Takes what belongs to the text; returns how many bytes.
  std::size_t read(std::string_view text) {
    std::size_t at = 0;
    while (open && at < text.size()) {
      const char c = text[at];
      const bool escaped = c == '%' || c == '\\';
      const auto [byte, length] =
          escaped ? escape_at(text.substr(at)) : std::pair<int, std::size_t>(c, 1);
      // What may yet be an escape is passed on as it is, but for that it is no part of the text.
      const int number = base64_number(byte);
      const bool part = byte == '=' || (number >= 0 && !padded_);
      if (!part) break;
      if (byte == '=') {
        padded_ = true;
      } else {
        coding_.url = coding_.url || byte == '-' || byte == '_';
        add(static_cast<unsigned>(number), 6);
      }
      if (escaped) (c == '%' ? coding_.percent : coding_.json) = true;
      at += length;
    }
    if (at < text.size()) close();
    return at;
  }
  void close() {
    if (!open) return;
    const std::size_t filling = data_ % 8 == 2 || data_ % 8 == 4 ? data_ % 8 : 0;
    const bool pads = padded_ || (data_ % 8 == 0 && !coding_.url);
    if (bits_.size() > filling) {
      bits_.resize(bits_.size() - filling);
      add(0, static_cast<unsigned>(6 - bits_.size()));
    }
    while (pads && characters_ % 4 != 0) put('=');
    std::string* const kept = out;
    *this = {};
    out = kept;
  }

 private:
  void add(unsigned value, unsigned count) {
    for (unsigned i = count; i-- > 0;) bits_.push_back((value >> i & 1) != 0);
    data_ += count;
    while (bits_.size() >= 6) {
      std::size_t number = 0;
      for (int i = 0; i < 6; ++i)
        number = number * 2 + (bits_[static_cast<std::size_t>(i)] ? 1 : 0);
      bits_.erase(bits_.begin(), bits_.begin() + 6);
      put(kBase64[number >= 62 && coding_.url ? number + 2 : number]);
    }
  }
  void put(char c) {
    ++characters_;
    const bool special = c == '+' || c == '/' || c == '=';
    if (special && coding_.percent) {
      out->append(c == '+' ? "%2B" : c == '/' ? "%2F" : "%3D");
    } else {
      out->append(c == '/' && coding_.json ? "\\/" : std::string(1, c));
    }
  }

  Coding coding_;
  bool padded_ = false;
  std::vector<bool> bits_;  ///< not yet a character
  std::size_t data_ = 0, characters_ = 0;
};

/// `token` where a form stood that is not part of a base64 text.
std::string coded(std::string_view token, const Form& form, const Coding& coding) {
  constexpr std::string_view kUnreserved = "-_.~";
  const char* digits = form.kind == Kind::hex && !(coding.upper && !coding.lower)
                           ? "0123456789abcdef"
                           : "0123456789ABCDEF";
  std::string out;
  for (const char c : token) {
    const auto byte = static_cast<unsigned char>(c);
    const std::string hex{digits[byte >> 4], digits[byte & 15]};
    const bool plain = std::isalnum(byte) != 0 || kUnreserved.find(c) != kUnreserved.npos;
    if (form.kind == Kind::hex) {
      out += hex;
    } else if (coding.percent && !plain) {
      out += "%" + hex;
    } else {
      out += (coding.json && !coding.percent && (c == '"' || c == '\\') ? "\\" : "") +
             std::string(1, c);
    }
  }
  return out;
}

}  // namespace

Replaced replaced(std::string_view stream,
                  const std::vector<Place>& places,
                  const std::vector<Form>& forms,
                  std::size_t until,
                  bool ends,
                  const std::function<std::string(std::size_t)>& token) {
  Replaced result;
  std::string& out = result.text;
  Base64Run run;
  run.out = &out;
  std::size_t at = 0;  // behind the place before
  const Place* last = nullptr;
  const auto note = [&](std::size_t from) { result.written.emplace_back(from, out.size()); };
  const auto copy = [&](std::size_t end) {
    if (at >= end) return;
    const std::size_t from = out.size();
    if (last != nullptr) run.end(forms[last->form], last->written);
    last = nullptr;
    const std::string_view text = stream.substr(at, end - at);
    const std::size_t taken = run.read(text);
    note(from);
    out.append(text.substr(taken));
  };
  for (const Place& place : places) {
    if (place.begin >= until) break;
    if (place.begin >= at) {
      copy(place.begin);
      const std::size_t from = out.size();
      if (last != nullptr) run.end(forms[last->form], last->written);
      const Form& form = forms[place.form];
      if (form.kind == Kind::base64 && form.whole) {
        run.begin(form, place.written, token(place.entry));
      } else {
        run.close();
        out.append(coded(token(place.entry), form, place.written.coding));
      }
      note(from);
      last = &place;
      at = place.end;
    } else if (place.end > at) {
      last = &place;
      at = place.end;
    }
  }
  copy(until);
  if (ends) {
    const std::size_t from = out.size();
    if (last != nullptr) run.end(forms[last->form], last->written);
    run.close();
    note(from);
  }
  return result;
}

}  // namespace iron::fuzz::scrub_model
