#pragma once

#include <boost/system/result.hpp>
#include <string>
#include <utility>

namespace iron {

/// What kind of failure a request path met; decides the answer and the record's action.
enum class Fault {
  other,           ///< upstream or transform failure: 502, action `error`
  client_gone,     ///< the client left: nothing is answered, action `client_cancel`
  body_too_large,  ///< a body that must be read whole is above its limit: 413 or 502
  no_budget,       ///< all memory for bodies is in use: 503
  bad_request,     ///< the client broke the framing in mid-body: 400
  client_silent,   ///< the client sent no more of its body in time: closed, action `error`
  gone,            ///< what was asked for is not there
  header_timeout,  ///< the upstream gave no head in time: 502, and the client may be told so
};

/// Failure of an operation on the request path. `text` is what the record's `error` says: it tells
/// what was attempted and why it failed, and never holds a secret or a rewritten URL.
struct Error {
  std::string text;
  Fault fault = Fault::other;
};

/// Value or Error; every function that can fail while serving returns one.
template <class T>
using Result = boost::system::result<T, Error>;

/// Needed by boost::system::result for `.value()`; throws std::runtime_error with the text.
[[noreturn]] void throw_exception_from_error(const Error& error, const boost::source_location&);

inline Error fail(std::string text, Fault fault = Fault::other) {
  return Error{std::move(text), fault};
}

}  // namespace iron
