#include "tests/proxy/beast_messages.h"

#include <boost/asio/write.hpp>
#include <boost/beast/http/chunk_encode.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/serializer.hpp>
#include <boost/beast/http/write.hpp>
#include <charconv>
#include <iterator>
#include <stdexcept>

namespace iron::proxy::test {
namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;
using Framing = WebMessage::Framing;

/// Cuts the text in front of the first `end`, and takes both away.
std::string_view cut(std::string_view& text, std::string_view end) {
  const std::size_t at = std::min(text.find(end), text.size());
  const std::string_view part = text.substr(0, at);
  text.remove_prefix(std::min(at + end.size(), text.size()));
  return part;
}

beast::string_view beast_view(std::string_view text) { return {text.data(), text.size()}; }

template <class Fields>
void add_fields(Fields& fields, const std::vector<std::string>& lines) {
  for (const std::string& line : lines) {
    std::string_view value = line;
    const std::string_view name = cut(value, ": ");
    fields.insert(beast_view(name), beast_view(value));
  }
}

unsigned version_of(std::string_view text) { return text == "HTTP/1.0" ? 10 : 11; }
std::string version_text(unsigned version) { return version == 10 ? "HTTP/1.0" : "HTTP/1.1"; }

void set_start(BeastMessage<true>& message, std::string_view start) {
  message.method_string(beast_view(cut(start, " ")));
  message.target(beast_view(cut(start, " ")));
  message.version(version_of(start));
}

void set_start(BeastMessage<false>& message, std::string_view start) {
  message.version(version_of(cut(start, " ")));
  unsigned status = 0;
  const std::string_view number = cut(start, " ");
  std::from_chars(number.data(), number.data() + number.size(), status);
  message.result(status);
  message.reason(beast_view(start));
}

std::string start_of(const BeastMessage<true>& message) {
  return std::string(message.method_string()) + " " + std::string(message.target()) + " " +
         version_text(message.version());
}

std::string start_of(const BeastMessage<false>& message) {
  return version_text(message.version()) + " " + std::to_string(message.result_int()) + " " +
         std::string(message.reason());
}

template <bool IsRequest>
Framing framing_of(const BeastParser<IsRequest>& parser) {
  if (!parser.is_header_done()) return Framing::none;
  if (parser.chunked()) return Framing::chunked;
  if (parser.content_length()) return Framing::length;
  return parser.need_eof() ? Framing::until_close : Framing::none;
}

/// The names that say what WebMessage::framing says.
bool is_framing(beast::string_view name, Framing framing) {
  return (framing == Framing::chunked && beast::iequals(name, "Transfer-Encoding")) ||
         (framing == Framing::length && beast::iequals(name, "Content-Length"));
}

}  // namespace

template <bool IsRequest>
BeastMessage<IsRequest> beast_head(const WebMessage& message) {
  BeastMessage<IsRequest> head;
  set_start(head, message.start);
  add_fields(head, message.fields);
  if (message.framing == Framing::length) head.content_length(message.body.size());
  if (message.framing == Framing::chunked) head.chunked(true);
  return head;
}

template <bool IsRequest>
void send_head(PeerStream& stream, const WebMessage& message) {
  const BeastMessage<IsRequest> head = beast_head<IsRequest>(message);
  http::serializer<IsRequest, http::string_body> serializer(head);
  http::write_header(stream, serializer);
}

void send_body(PeerStream& stream, const WebMessage& message) {
  if (message.framing != Framing::chunked) {
    stream.write_all(message.body);
    return;
  }
  constexpr std::size_t kChunk = 10000;
  for (std::string_view rest = message.body; !rest.empty();) {
    const std::string_view chunk = rest.substr(0, kChunk);
    boost::asio::write(stream, http::make_chunk(boost::asio::buffer(chunk.data(), chunk.size())));
    rest.remove_prefix(chunk.size());
  }
  http::fields trailers;
  add_fields(trailers, message.trailers);
  boost::asio::write(stream, http::make_chunk_last(trailers));
}

template <bool IsRequest>
std::size_t count_fields(const BeastParser<IsRequest>& parser) {
  return static_cast<std::size_t>(std::distance(parser.get().begin(), parser.get().end()));
}

template <bool IsRequest>
WebMessage read_of(const BeastParser<IsRequest>& parser, std::size_t head_fields, bool has_body) {
  WebMessage message;
  message.start = start_of(parser.get());
  message.framing = has_body ? framing_of(parser) : Framing::none;
  std::size_t number = 0;
  for (const auto& field : parser.get()) {
    const bool in_head = number++ < head_fields;
    if (in_head && is_framing(field.name_string(), message.framing)) continue;
    std::vector<std::string>& fields = in_head ? message.fields : message.trailers;
    fields.push_back(std::string(field.name_string()) + ": " + std::string(field.value()));
  }
  message.body = parser.get().body();
  return message;
}

WebMessage read_answer(PeerStream& stream, beast::flat_buffer& buffer, AnswerTo to) {
  std::vector<std::string> interim;
  while (true) {
    BeastParser<false> parser;
    parser.body_limit(boost::none);
    parser.skip(to == AnswerTo::head);
    beast::error_code error;
    http::read_header(stream, buffer, parser, error);
    const std::size_t head_fields = count_fields(parser);
    const unsigned status = parser.is_header_done() ? parser.get().result_int() : 0;
    if (!error && status / 100 == 1 && status != 101) {
      interim.push_back(start_of(parser.get()));
      continue;
    }
    const bool opens_tunnel = to == AnswerTo::connect && status / 100 == 2;
    if (!error && !opens_tunnel) http::read(stream, buffer, parser, error);
    WebMessage answer = read_of(parser, head_fields, to != AnswerTo::head);
    answer.interim = std::move(interim);
    if (error) answer.fault = error.message();
    return answer;
  }
}

template BeastMessage<true> beast_head<true>(const WebMessage&);
template BeastMessage<false> beast_head<false>(const WebMessage&);
template void send_head<true>(PeerStream&, const WebMessage&);
template void send_head<false>(PeerStream&, const WebMessage&);
template WebMessage read_of<true>(const BeastParser<true>&, std::size_t, bool);
template std::size_t count_fields<true>(const BeastParser<true>&);

}  // namespace iron::proxy::test
