#pragma once

#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/fields.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "policy/http_message.h"
#include "policy/secret/secret.h"

namespace iron::proxy {

/// Memory that is wiped when it is given back: requests to the management page have its key.
template <class T>
struct WipedMemory {
  using value_type = T;
  WipedMemory() = default;
  template <class U>
  explicit(false) WipedMemory(const WipedMemory<U>&) {}
  T* allocate(std::size_t count) { return std::allocator<T>().allocate(count); }
  void deallocate(T* memory, std::size_t count) {
    wipe({reinterpret_cast<char*>(memory), count * sizeof(T)});
    std::allocator<T>().deallocate(memory, count);
  }
  template <class U>
  bool operator==(const WipedMemory<U>&) const {
    return true;
  }
};

/// What the pages of the metrics and management listeners are asked for, and what they answer.
using WebRequest = boost::beast::http::request<boost::beast::http::empty_body,
                                               boost::beast::http::basic_fields<WipedMemory<char>>>;
using WebAnswer = boost::beast::http::response<boost::beast::http::string_body>;

/// A field that Beast can hold is no longer than this.
inline constexpr std::size_t kLongestWebField = 65533;

/// The request as the pages see it: as Beast's parser reads `head`, without `Connection` and
/// `Proxy-Connection`, which are the server's, and without fields that are longer than
/// kLongestWebField. Nothing if Beast refuses what the strict parser took. `most`: bytes of a head.
std::optional<WebRequest> web_request(const Request& head, std::size_t most);

/// The bytes of the answer to `request`, in the version of it; to HEAD without the body. `close`:
/// the connection ends behind it.
std::string answer_bytes(WebAnswer answer, const WebRequest& request, bool close);

}  // namespace iron::proxy
