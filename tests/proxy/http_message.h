#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace iron::proxy::test {

/// What may stand behind a head: what the head says of a request or of an answer, or nothing.
enum class BodyRule { request, answer, none };

/// The message at the front of a stream, read strictly and by other code than the proxy's.
struct Message {
  std::string start;         ///< first line
  std::string fields;        ///< the others, each with its line end
  std::string body;          ///< as far as it came, without its framing
  bool head_done = false;    ///< the head is here
  bool complete = false;     ///< all of it is
  bool until_end = false;    ///< only the end of the connection ends its body
  std::size_t size = 0;      ///< bytes that it takes, when complete
  std::string_view fault{};  ///< what is wrong with it

  /// The value of the first field of that name, in its usual spelling; empty if there is none.
  std::string_view field(std::string_view name) const;
  /// Of an answer.
  int status() const;
};

/// `ended`: nothing comes behind `bytes`.
Message read_message(std::string_view bytes, BodyRule rule, bool ended);

}  // namespace iron::proxy::test
