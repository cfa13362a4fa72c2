#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace iron::policy {

/// Appends to a string through a plain pointer, so that a line of many short pieces does not cost a
/// call for each. The string is complete after finish() or destruction, and not to be used before.
class LineWriter {
 public:
  /// `expected`: bytes that will be written, roughly.
  LineWriter(std::string& out, std::size_t expected);
  ~LineWriter() { finish(); }
  LineWriter(const LineWriter&) = delete;
  LineWriter& operator=(const LineWriter&) = delete;

  void put(std::string_view text) {
    if (text.empty()) return;
    if (text.size() > static_cast<std::size_t>(end_ - at_)) grow(text.size());
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
  }
  void put(char c) {
    if (at_ == end_) grow(1);
    *at_++ = c;
  }
  /// As append_json_string(), append_json_integer() and append_json_milliseconds() write it.
  void put_json(std::string_view text);
  void put_integer(std::int64_t value);
  void put_milliseconds(std::int64_t nanoseconds);
  /// Lets `append(string)` write what has no function here.
  template <class Append>
  void put_with(Append append) {
    finish();
    append(out_);
  }
  /// May be followed by more, also after the string was changed by others.
  void finish() {
    if (at_ == nullptr) return;
    out_.resize(static_cast<std::size_t>(at_ - out_.data()));
    at_ = end_ = nullptr;
  }

 private:
  void begin(std::size_t used, std::size_t room);
  void grow(std::size_t size);

  std::string& out_;
  char* at_ = nullptr;  ///< null while finished
  char* end_ = nullptr;
};

}  // namespace iron::policy
