// Decoding does not depend on how the bytes arrive, equals a plain reading of RFC 9112 section 7.1
// with the rules for clients and with those for origins, fails at the same byte, and gives back
// what was encoded.
#include <string>

#include "proxy/http/field_text.h"
#include "proxy/http1/body_reader.h"
#include "tests/fuzz/fuzz_target.h"

namespace iron::fuzz {
namespace {

using namespace iron::proxy;

struct Decoded {
  std::string data, trailers;
  std::size_t consumed = 0;
  bool fault = false, done = false;
  bool operator==(const Decoded&) const = default;
};

Decoded decode(std::string_view bytes, std::size_t cut, std::size_t step, ChunkLines lines) {
  BodyReader reader({BodyFraming::Kind::chunked, 0}, lines);
  reader.keep_trailers();
  Decoded decoded;
  std::size_t end = cut;
  while (!decoded.fault && decoded.consumed < bytes.size()) {
    std::string_view part = bytes.substr(0, end).substr(decoded.consumed);
    while (!part.empty() && !decoded.fault) {
      const BodyReader::Piece piece = reader.next(part);
      FUZZ_CHECK(piece.consumed <= part.size() && piece.data.size() <= piece.consumed);
      decoded.data += piece.data;
      decoded.consumed += piece.consumed;
      decoded.fault = piece.fault;
      if (piece.consumed == 0) break;
      part.remove_prefix(piece.consumed);
    }
    if (reader.done() || end >= bytes.size()) break;
    end = std::min(bytes.size(), end + step);
  }
  decoded.done = reader.done();
  decoded.trailers = reader.trailers();
  return decoded;
}

bool text_byte(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return c == '\t' || (byte >= 0x20 && byte != 0x7f);
}

/// Reads a whole body at once. `incomplete`: neither done nor wrong so far.
struct Plain {
  std::string data;
  enum class End { done, fault, incomplete } end = End::incomplete;
  std::size_t consumed = 0;  ///< when done
};

/// Skips what `is` tells.
template <class Is>
std::size_t skip(std::string_view bytes, std::size_t at, Is is) {
  while (at < bytes.size() && is(bytes[at])) ++at;
  return at;
}
bool blank(char c) { return c == ' ' || c == '\t'; }
bool token_byte(char c) { return is_token(std::string_view(&c, 1)); }

/// Behind the extensions that begin at `at`, which RFC 9112 section 7.1.1 has; where it has none,
/// or not yet, the end of what can be read and whether that is a fault.
struct Extensions {
  std::size_t at = 0;
  bool fault = false;
};
Extensions read_extensions(std::string_view bytes, std::size_t at) {
  while (true) {
    const std::size_t semicolon = skip(bytes, at, blank);
    if (semicolon == bytes.size()) return {semicolon, false};
    if (bytes[semicolon] != ';') return {semicolon, semicolon != at};
    const std::size_t name = skip(bytes, semicolon + 1, blank);
    std::size_t end = skip(bytes, name, token_byte);
    if (end == bytes.size()) return {end, false};
    if (end == name) return {end, true};
    const std::size_t equals = skip(bytes, end, blank);
    if (equals == bytes.size()) return {equals, false};
    if (bytes[equals] != '=') {
      at = end;
      continue;
    }
    const std::size_t value = skip(bytes, equals + 1, blank);
    if (value == bytes.size()) return {value, false};
    if (bytes[value] == '"') {
      end = value + 1;
      while (end < bytes.size() && bytes[end] != '"') {
        if (bytes[end] == '\\' && ++end == bytes.size()) break;
        if (!text_byte(bytes[end])) return {end, true};
        ++end;
      }
      if (end == bytes.size()) return {end, false};
      at = end + 1;
      continue;
    }
    end = skip(bytes, value, token_byte);
    if (end == value) return {end, end < bytes.size()};
    at = end;
  }
}

/// The same of an origin.
Extensions read_anything(std::string_view bytes, std::size_t at) {
  const std::size_t end = skip(bytes, at, blank);
  if (end == bytes.size() || bytes[end] != ';') return {end, false};
  return {skip(bytes, end, text_byte), false};
}

bool plain_trailer(std::string_view line, ChunkLines lines) {
  const std::size_t colon = line.find(':');
  if (colon == line.npos) return false;
  std::string_view name = line.substr(0, colon);
  if (lines == ChunkLines::of_origin) {
    const std::string_view stripped = name.substr(0, name.find_last_not_of(" \t") + 1);
    if (!iequals(stripped, "content-length") && !iequals(stripped, "transfer-encoding")) {
      name = stripped;
    }
  }
  for (const char c : line) {
    if (!text_byte(c)) return false;
  }
  return is_token(name);
}

Plain read_plainly(std::string_view bytes, ChunkLines lines) {
  Plain plain;
  std::size_t at = 0;
  const auto wrong = [&plain](Plain::End end) {
    plain.end = end;
    return plain;
  };
  while (true) {
    std::uint64_t size = 0;
    std::size_t digits = 0;
    while (at < bytes.size() &&
           std::string_view("0123456789abcdefABCDEF").find(bytes[at]) != std::string_view::npos) {
      const char c = bytes[at++];
      const int digit = c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
      if (++digits > 16 || size >> 59 != 0) return wrong(Plain::End::fault);
      size = size * 16 + static_cast<std::uint64_t>(digit);
    }
    if (at == bytes.size()) return wrong(Plain::End::incomplete);
    if (digits == 0) return wrong(Plain::End::fault);
    const Extensions behind =
        lines == ChunkLines::of_origin ? read_anything(bytes, at) : read_extensions(bytes, at);
    if (behind.fault) return wrong(Plain::End::fault);
    at = behind.at;
    if (at == bytes.size()) return wrong(Plain::End::incomplete);
    if (bytes[at++] != '\r') return wrong(Plain::End::fault);
    if (at == bytes.size()) return wrong(Plain::End::incomplete);
    if (bytes[at++] != '\n') return wrong(Plain::End::fault);
    if (size == 0) break;
    const std::size_t here =
        static_cast<std::size_t>(std::min<std::uint64_t>(size, bytes.size() - at));
    plain.data += bytes.substr(at, here);
    at += here;
    for (const char expected : {'\r', '\n'}) {
      if (at == bytes.size()) return wrong(Plain::End::incomplete);
      if (bytes[at++] != expected) return wrong(Plain::End::fault);
    }
  }
  while (true) {  // trailers
    const std::size_t end = bytes.find_first_of("\r\n", at);
    if (end == bytes.npos || end + 1 >= bytes.size()) {
      return wrong(end != bytes.npos && bytes[end] == '\n' ? Plain::End::fault
                                                           : Plain::End::incomplete);
    }
    if (bytes[end] != '\r' || bytes[end + 1] != '\n') return wrong(Plain::End::fault);
    const std::string_view line = bytes.substr(at, end - at);
    at = end + 2;
    if (line.empty()) break;
    if (!plain_trailer(line, lines)) return wrong(Plain::End::fault);
  }
  plain.consumed = at;
  return wrong(Plain::End::done);
}

void check_round_trip(std::string_view data) {
  std::string encoded;
  std::size_t piece = 1;
  for (std::string_view rest = data; !rest.empty(); piece = piece * 3 % 97 + 1) {
    const std::string_view chunk = rest.substr(0, piece);
    constexpr const char* kDigits = "0123456789abcdef";
    encoded.push_back(kDigits[chunk.size() >> 4 & 15]);
    encoded.push_back(kDigits[chunk.size() & 15]);
    encoded.append("\r\n").append(chunk).append("\r\n");
    rest.remove_prefix(chunk.size());
  }
  encoded += "0\r\n\r\n";
  const Decoded decoded = decode(encoded, encoded.size(), 1, ChunkLines::of_client);
  FUZZ_CHECK(decoded.done && !decoded.fault);
  FUZZ_CHECK(decoded.data == data && decoded.consumed == encoded.size());
}

/// The framings without marks in them: exactly the length, or everything.
void check_plain_framings(std::string_view input) {
  const std::size_t length = input.size() / 2;
  BodyReader counted({BodyFraming::Kind::length, length}),
      open({BodyFraming::Kind::until_close, 0});
  std::string data;
  for (std::size_t at = 0; at < input.size() && !counted.done();) {
    const BodyReader::Piece piece = counted.next(input.substr(at, 7));
    FUZZ_CHECK(!piece.fault && piece.consumed == piece.data.size());
    data += piece.data;
    at += piece.consumed;
    FUZZ_CHECK(counted.remaining() == length - data.size());
    if (piece.consumed == 0) break;
  }
  FUZZ_CHECK(data == input.substr(0, length) && counted.finish_at_eof());
  FUZZ_CHECK(open.next(input).data == input);
  FUZZ_CHECK(!open.done() && open.finish_at_eof());
}

void check_chunked(std::string_view input, ChunkLines lines) {
  const Decoded whole = decode(input, input.size(), 1, lines);
  FUZZ_CHECK(decode(input, 1, 1, lines) == whole);
  const BodyReader ahead({BodyFraming::Kind::chunked, 0}, lines);
  FUZZ_CHECK(ahead.completes_with(input) == whole.done);
  for (const std::size_t cut : cuts(input)) {
    FUZZ_CHECK(decode(input, cut, input.size(), lines) == whole);
  }
  FUZZ_CHECK(!(whole.done && whole.fault));
  const Plain plain = read_plainly(input, lines);
  if (input.size() < 4096) {
    FUZZ_CHECK(whole.done == (plain.end == Plain::End::done));
    FUZZ_CHECK(whole.fault == (plain.end == Plain::End::fault));
    FUZZ_CHECK(whole.data == plain.data);
  } else {  // the limits on extensions and trailers may end it earlier
    FUZZ_CHECK(plain.data.starts_with(whole.data));
    FUZZ_CHECK(!whole.done || plain.end == Plain::End::done);
  }
  if (whole.done) FUZZ_CHECK(whole.consumed == plain.consumed);
}

/// What is taken from a client is read the same of an origin.
void check_both_readings(std::string_view input) {
  const Decoded client = decode(input, input.size(), 1, ChunkLines::of_client);
  if (!client.done) return;
  FUZZ_CHECK(decode(input, input.size(), 1, ChunkLines::of_origin) == client);
}

}  // namespace
}  // namespace iron::fuzz

FUZZ_TARGET(chunked) {
  check_chunked(input, ChunkLines::of_client);
  check_chunked(input, ChunkLines::of_origin);
  check_both_readings(input);
  check_round_trip(input);
  check_plain_framings(input);
}
