#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace iron::bench {

/// Reads one HTTP/1.1 message as it arrives. For the ends of the benchmark, which trust each other:
/// what the proxy under measurement must refuse is not refused here.
class MessageReader {
 public:
  enum class Kind { request, response };
  explicit MessageReader(Kind kind) : kind_(kind) {}

  /// Forgets the message; the next one starts.
  void reset();
  /// Takes bytes up to the end of the message and hands those of the body on, without chunk
  /// framing. Returns how many it took.
  std::size_t feed(std::string_view bytes, const std::function<void(std::string_view)>& body);

  bool in_head() const { return state_ == State::head; }
  bool complete() const { return state_ == State::complete; }
  /// The body ends with the connection.
  bool until_close() const { return state_ == State::until_close; }
  /// The head with its empty line, once it is there.
  const std::string& head() const { return head_; }
  /// Of a field's first line, without surrounding blanks; empty without the field.
  std::string_view field(std::string_view name) const;
  int status() const { return status_; }
  bool closes() const { return closes_; }
  std::uint64_t body_bytes() const { return body_bytes_; }

 private:
  enum class State { head, body, chunk_size, chunk, chunk_end, trailer, until_close, complete };

  std::size_t take_head(std::string_view bytes);
  std::size_t take_body(std::string_view bytes, const std::function<void(std::string_view)>& body);
  void take_framing(char byte);
  void head_complete();

  Kind kind_;
  State state_ = State::head;
  std::string head_, line_;
  std::uint64_t left_ = 0, body_bytes_ = 0;
  int status_ = 0;
  bool closes_ = false;
};

}  // namespace iron::bench
