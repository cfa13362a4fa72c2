#pragma once

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include "tests/proxy/beast_peers.h"
#include "tests/proxy/peer_stream.h"

namespace iron::proxy::test {

/// Between WebMessage and Boost.Beast.
template <bool IsRequest>
using BeastParser = boost::beast::http::parser<IsRequest, boost::beast::http::string_body>;
template <bool IsRequest>
using BeastMessage = boost::beast::http::message<IsRequest, boost::beast::http::string_body>;

/// The head alone.
template <bool IsRequest>
BeastMessage<IsRequest> beast_head(const WebMessage& message);

/// Throw boost::system::system_error.
template <bool IsRequest>
void send_head(PeerStream& stream, const WebMessage& message);
void send_body(PeerStream& stream, const WebMessage& message);

/// What the parser has read; `head_fields`: how many fields it had when the head was read, those
/// behind are trailers. Without a body its length is a field like any other.
template <bool IsRequest>
WebMessage read_of(const BeastParser<IsRequest>& parser, std::size_t head_fields, bool has_body);
template <bool IsRequest>
std::size_t count_fields(const BeastParser<IsRequest>& parser);

/// The next answer of a stream. `no_body`: as for HEAD; `connect`: a 2xx has none.
enum class AnswerTo { request, head, connect };
WebMessage read_answer(PeerStream& stream, boost::beast::flat_buffer& buffer, AnswerTo to);

}  // namespace iron::proxy::test
