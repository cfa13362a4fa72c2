#include "transforms/rewrite.h"

#include <algorithm>

#include "policy/hex.h"
#include "policy/quote.h"
#include "transforms/encoding.h"
#include "transforms/header_name.h"

namespace iron::transforms {
namespace {

constexpr std::size_t kBasicLength = 6;  // of `Basic `

/// Hands out the client's bytes and the values in their order: client(piece), value(piece).
template <class Client, class Value>
void each_piece(std::string_view bytes,
                const std::vector<Substitution>& parts,
                Client client,
                Value value) {
  std::size_t at = 0;
  for (const Substitution& part : parts) {
    client(bytes.substr(at, part.begin - at));
    value(part.value->reveal());
    at = part.begin + part.length;
  }
  client(bytes.substr(at));
}

std::size_t substituted_size(std::string_view bytes, const std::vector<Substitution>& parts) {
  std::size_t size = bytes.size();
  for (const Substitution& part : parts) size = size - part.length + part.value->size();
  return size;
}

const FieldRewrite* rewrite_of(const Exchange& exchange, const Field& field) {
  return field.rewrite == 0 ? nullptr : &exchange.field_rewrites[field.rewrite - 1];
}

/// The raw path with the hits, which are ranges of the decoded path, replaced; the rest keeps its
/// bytes.
char* write_path(const Exchange& exchange, char* out) {
  const std::string_view raw = exchange.raw_path.empty() ? "/" : exchange.raw_path;
  const auto& parts = exchange.path_parts;
  std::size_t decoded = 0, part = 0;
  for (std::size_t at = 0; at < raw.size(); ++decoded) {
    const bool escape = raw[at] == '%' && at + 2 < raw.size() &&
                        policy::hex_value(raw[at + 1]) >= 0 && policy::hex_value(raw[at + 2]) >= 0;
    const std::size_t length = escape ? 3 : 1;
    while (part < parts.size() && decoded >= parts[part].begin + parts[part].length) ++part;
    if (part == parts.size() || decoded < parts[part].begin) {
      out = put(out, raw.substr(at, length));
    } else if (decoded == parts[part].begin) {
      out = put_path_encoded(out, parts[part].value->reveal());
    }
    at += length;
  }
  return out;
}

char* write_pair(const QueryRewrite& rewrite, std::string_view query, char* out) {
  if (rewrite.kind == QueryRewrite::Kind::cut) {
    const std::string_view pair = query.substr(rewrite.begin, rewrite.length);
    std::size_t at = 0;
    for (const Substitution& part : rewrite.parts) {  // ordered, but two may share a separator
      if (part.begin > at) out = put(out, pair.substr(at, part.begin - at));
      at = std::max(at, part.begin + part.length);
    }
    return put(out, pair.substr(at));
  }
  const std::string_view head = query.substr(rewrite.begin, rewrite.value_begin - rewrite.begin);
  out = put(out, head);
  if (rewrite.kind == QueryRewrite::Kind::set) {
    if (!head.ends_with('=')) *out++ = '=';
    return put_form_encoded(out, rewrite.value->reveal());
  }
  const auto encode = [&](std::string_view piece) { out = put_form_encoded(out, piece); };
  each_piece(rewrite.decoded, rewrite.parts, encode, encode);
  return out;
}

char* write_query(const Exchange& exchange, char* out) {
  const std::string_view query = exchange.raw_query;
  bool first = true;
  const auto separate = [&] {
    if (!first) *out++ = '&';
    first = false;
  };
  for (std::size_t begin = 0; begin <= query.size();) {
    const std::size_t end = std::min(query.find('&', begin), query.size());
    const QueryRewrite* rewrite = end == begin ? nullptr : exchange.find_rewrite_of_pair(begin);
    if (rewrite == nullptr || rewrite->kind != QueryRewrite::Kind::remove) {
      separate();
      out = rewrite == nullptr ? put(out, query.substr(begin, end - begin))
                               : write_pair(*rewrite, query, out);
    }
    begin = end + 1;
  }
  if (query.empty()) first = true;
  for (const QueryRewrite& rewrite : exchange.query_rewrites) {
    if (rewrite.kind != QueryRewrite::Kind::append) continue;
    separate();
    out = put_form_encoded(out, rewrite.key);
    *out++ = '=';
    out = put_form_encoded(out, rewrite.value->reveal());
  }
  return out;
}

bool appends_query(const Exchange& exchange) {
  return std::any_of(exchange.query_rewrites.begin(), exchange.query_rewrites.end(),
                     [](const auto& at) { return at.kind == QueryRewrite::Kind::append; });
}

/// Percent-decodes; what is no escape stays.
void decode_in_place(Secret& path) {
  const std::span<char> bytes = path.writable();
  std::size_t to = 0;
  for (std::size_t from = 0; from < bytes.size(); ++to) {
    const bool escape = bytes[from] == '%' && from + 2 < bytes.size() &&
                        policy::hex_value(bytes[from + 1]) >= 0 &&
                        policy::hex_value(bytes[from + 2]) >= 0;
    bytes[to] = escape ? static_cast<char>(policy::hex_value(bytes[from + 1]) << 4 |
                                           policy::hex_value(bytes[from + 2]))
                       : bytes[from];
    from += escape ? 3 : 1;
  }
  path.shrink(to);
}

/// Copies a piece of the client's decoded path without the `.` segments that stand whole in it: the
/// client's own were judged before policy. One that a value makes or touches stays.
char* put_without_dot_segments(char* out, std::string_view piece, bool ends_path) {
  for (std::size_t i = 0; i < piece.size(); ++i) {
    const bool whole = i + 1 < piece.size() || ends_path;
    if (whole && policy::is_dot_segment(piece, i)) {
      ++i;  // the slash behind it
    } else {
      *out++ = piece[i];
    }
  }
  return out;
}

}  // namespace

std::size_t target_bound(const Exchange& exchange) {
  std::size_t bound = exchange.raw_path.size() + exchange.raw_query.size() + 2;
  for (const Substitution& part : exchange.path_parts) bound += 3 * part.value->size();
  for (const QueryRewrite& rewrite : exchange.query_rewrites) {
    bound += 2 + 3 * (rewrite.key.size() + rewrite.decoded.size());
    if (rewrite.value != nullptr) bound += 3 * rewrite.value->size();
    if (rewrite.kind == QueryRewrite::Kind::cut) continue;
    for (const Substitution& part : rewrite.parts) bound += 3 * part.value->size();
  }
  return bound;
}

char* write_changed_target(const Exchange& exchange, char* out) {
  if (exchange.path_parts.empty()) {
    out = put(out, exchange.raw_path.empty() ? "/" : exchange.raw_path);
  } else {
    out = write_path(exchange, out);
  }
  if (exchange.query_rewrites.empty()) {
    if (exchange.has_query) *out++ = '?';
    return put(out, exchange.raw_query);
  }
  if (exchange.has_query || appends_query(exchange)) *out++ = '?';
  return write_query(exchange, out);
}

Secret leaving_target(const Exchange& exchange) {
  Secret out = Secret::sized(target_bound(exchange));
  char* const begin = out.writable().data();
  out.shrink(static_cast<std::size_t>(write_target(exchange, begin) - begin));
  return out;
}

Secret leaving_value(const Exchange& exchange, const Field& field) {
  Secret out = Secret::sized(field_value_bound(exchange, field));
  char* const begin = out.writable().data();
  out.shrink(static_cast<std::size_t>(write_field_value(exchange, field, begin) - begin));
  return out;
}

Secret leaving_body(const BodyView& view) {
  Secret out = Secret::sized(body_size(view));
  BodyCursor cursor;
  write_body(view, cursor, out.writable().data(), out.size());
  return out;
}

Result<void> check_target(const Exchange& exchange, policy::DotSegments kind) {
  if (exchange.path_parts.empty()) return {};
  // policy::has_dot_segments() would leave a decoded copy on the heap.
  Secret path = Secret::sized(substituted_size(exchange.path, exchange.path_parts));
  char* out = path.writable().data();
  const char* const end = exchange.path.data() + exchange.path.size();
  const auto copy_client = [&](std::string_view piece) {
    const bool ends_path = piece.data() + piece.size() == end;
    out = exchange.path_reduced ? put_without_dot_segments(out, piece, ends_path) : put(out, piece);
  };
  const auto copy_value = [&](std::string_view piece) { out = put(out, piece); };
  each_piece(exchange.path, exchange.path_parts, copy_client, copy_value);
  path.shrink(static_cast<std::size_t>(out - path.reveal().data()));
  bool found = policy::shows_dot_segments(path.reveal(), kind);
  if (!found && path.reveal().find('%') != std::string_view::npos) {
    decode_in_place(path);
    found = policy::shows_dot_segments(path.reveal(), kind);
  }
  if (found) return fail("secret value makes dot segments");
  return {};
}

std::string_view field_name(const Exchange& exchange, const Field& field) {
  const FieldRewrite* rewrite = rewrite_of(exchange, field);
  return rewrite == nullptr || rewrite->spelling.empty() ? field.name : rewrite->spelling;
}

std::size_t field_value_bound(const Exchange& exchange, const Field& field) {
  const FieldRewrite* rewrite = rewrite_of(exchange, field);
  if (rewrite == nullptr) return field.value.size();
  if (rewrite->kind != FieldRewrite::Kind::basic) {
    return substituted_size(field.value, rewrite->parts);
  }
  return kBasicLength + Base64Writer::length(substituted_size(rewrite->decoded, rewrite->parts));
}

char* write_field_value(const Exchange& exchange, const Field& field, char* out) {
  const FieldRewrite* rewrite = rewrite_of(exchange, field);
  if (rewrite == nullptr) return put(out, field.value);
  if (rewrite->kind == FieldRewrite::Kind::basic) {
    Base64Writer writer(put(out, field.value.substr(0, kBasicLength)));
    const auto feed = [&](std::string_view piece) { writer.feed(piece); };
    each_piece(rewrite->decoded, rewrite->parts, feed, feed);
    return writer.finish();
  }
  const auto copy = [&](std::string_view piece) { out = put(out, piece); };
  each_piece(field.value, rewrite->parts, copy, copy);
  return out;
}

bool is_field_content(std::string_view value) {
  return std::none_of(value.begin(), value.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && byte != '\t') || byte == 0x7F;
  });
}

Result<void> check_fields(const Exchange& exchange) {
  for (const Field& field : exchange.request.headers.all()) {
    const FieldRewrite* rewrite = rewrite_of(exchange, field);
    if (rewrite == nullptr) continue;
    const std::string_view name = field_name(exchange, field);
    if (!is_token(name)) {
      return fail("net/http: invalid header field name " + policy::quoted(name));
    }
    if (rewrite->kind == FieldRewrite::Kind::basic) continue;
    for (const Substitution& part : rewrite->parts) {
      if (is_field_content(part.value->reveal())) continue;
      return fail("net/http: invalid header field value for " + policy::quoted(name));
    }
  }
  return {};
}

std::size_t body_size(const BodyView& body) { return substituted_size(body.bytes, body.parts); }

std::string_view take_unchanged(const BodyView& body, BodyCursor& cursor, std::size_t least) {
  const std::size_t stop =
      cursor.part < body.parts.size() ? body.parts[cursor.part].begin : body.bytes.size();
  const std::string_view stretch = body.bytes.substr(cursor.position, stop - cursor.position);
  if (stretch.size() < least) return {};
  cursor.position = stop;
  return stretch;
}

std::size_t write_body(const BodyView& body, BodyCursor& cursor, char* out, std::size_t size) {
  std::size_t written = 0;
  while (written < size) {
    const bool in_part =
        cursor.part < body.parts.size() && cursor.position == body.parts[cursor.part].begin;
    const std::size_t stop =
        cursor.part < body.parts.size() ? body.parts[cursor.part].begin : body.bytes.size();
    std::string_view piece =
        in_part ? body.parts[cursor.part].value->reveal().substr(cursor.part_offset)
                : body.bytes.substr(cursor.position, stop - cursor.position);
    if (!in_part && piece.empty()) break;
    piece = piece.substr(0, size - written);
    put(out + written, piece);
    written += piece.size();
    if (!in_part) {
      cursor.position += piece.size();
      continue;
    }
    cursor.part_offset += piece.size();
    if (cursor.part_offset < body.parts[cursor.part].value->size()) continue;
    cursor.position += body.parts[cursor.part].length;
    cursor.part_offset = 0;
    ++cursor.part;
  }
  return written;
}

}  // namespace iron::transforms
