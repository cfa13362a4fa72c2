#include "policy/json/line_writer.h"

#include <algorithm>
#include <charconv>

#include "policy/json/json_writer.h"

namespace iron::policy {
namespace {

constexpr std::size_t kIntegerBytes = 24;
constexpr std::size_t kLeastGrowth = 512;

}  // namespace

LineWriter::LineWriter(std::string& out, std::size_t expected) : out_(out) {
  begin(out.size(), expected);
}

/// Makes `room` bytes behind the `used` first ones writable, or whatever capacity there is anyway.
void LineWriter::begin(std::size_t used, std::size_t room) {
  out_.resize(used + room);
  at_ = out_.data() + used;
  end_ = out_.data() + out_.size();
}

void LineWriter::grow(std::size_t size) {
  const std::size_t used =
      at_ == nullptr ? out_.size() : static_cast<std::size_t>(at_ - out_.data());
  begin(used, std::max({size, used, kLeastGrowth}));
}

void LineWriter::put_json(std::string_view text) {
  if (!is_plain_json(text)) {
    put_with([text](std::string& out) { append_json_string(out, text); });
    return;
  }
  put('"');
  put(text);
  put('"');
}

void LineWriter::put_integer(std::int64_t value) {
  // Most numbers of a record are milliseconds, and most of those none.
  if (value >= 0 && value < 10) {
    put(static_cast<char>('0' + value));
    return;
  }
  if (static_cast<std::size_t>(end_ - at_) < kIntegerBytes) grow(kIntegerBytes);
  at_ = std::to_chars(at_, end_, value).ptr;
}

void LineWriter::put_milliseconds(std::int64_t nanoseconds) {
  const std::int64_t micros = nanoseconds < 0 ? 0 : nanoseconds / 1000;
  put_integer(micros / 1000);
  const auto rest = static_cast<int>(micros % 1000);
  if (rest == 0) return;
  const char fraction[] = {'.', static_cast<char>('0' + rest / 100),
                           static_cast<char>('0' + rest / 10 % 10),
                           static_cast<char>('0' + rest % 10)};
  std::size_t length = sizeof fraction;
  while (fraction[length - 1] == '0') --length;
  put({fraction, length});
}

}  // namespace iron::policy
