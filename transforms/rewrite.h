#pragma once

#include <cstddef>
#include <cstring>
#include <string_view>

#include "policy/match/path.h"
#include "policy/result.h"
#include "transforms/exchange.h"

namespace iron::transforms {

/// Writing what leaves: client bytes with the substitutions put in. `out` points into a wiped
/// buffer (see Secret); nothing is kept elsewhere, not even on the heap. Each writer returns the
/// end.

/// Upper bound of write_target's output.
std::size_t target_bound(const Exchange& exchange);
/// Origin-form target: raw path (`/` when empty), `?` and query, with path, query and inject
/// rewrites.
char* write_changed_target(const Exchange& exchange, char* out);
inline char* write_target(const Exchange& exchange, char* out) {
  const bool changed = !exchange.path_parts.empty() || !exchange.query_rewrites.empty();
  if (changed) return write_changed_target(exchange, out);
  const std::string_view path = exchange.raw_path.empty() ? "/" : exchange.raw_path;
  std::memcpy(out, path.data(), path.size());
  out += path.size();
  if (!exchange.has_query) return out;
  *out++ = '?';
  const std::string_view query = exchange.raw_query;
  if (!query.empty()) std::memcpy(out, query.data(), query.size());  // empty, it may be nowhere
  return out + query.size();
}
/// After path substitutions: fails with `secret value makes dot segments` where a segment became
/// `.` or `..`.
Result<void> check_target(const Exchange& exchange, policy::DotSegments kind);

/// What write_target() writes, for those who sign it.
Secret leaving_target(const Exchange& exchange);
/// The value that the field leaves with.
Secret leaving_value(const Exchange& exchange, const Field& field);
/// The whole body as it leaves; `view` is loaded and complete.
Secret leaving_body(const BodyView& view);

/// Name to put on the wire.
std::string_view field_name(const Exchange& exchange, const Field& field);
std::size_t field_value_bound(const Exchange& exchange, const Field& field);
char* write_field_value(const Exchange& exchange, const Field& field, char* out);
/// Control characters end or hide a field line (RFC 9110 section 5.5); a blank and HTAB do not.
bool is_field_content(std::string_view value);
/// Fails with `net/http: invalid header field value for "X-K"` where a substituted value holds CR,
/// LF or NUL, and with `net/http: invalid header field name "A b"` for a written name that is no
/// token.
Result<void> check_fields(const Exchange& exchange);

/// Length of the rewritten body.
std::size_t body_size(const BodyView& body);
/// Where a piecewise writer of the rewritten body stands.
struct BodyCursor {
  std::size_t position = 0;  ///< in body.bytes
  std::size_t part = 0;      ///< next substitution
  std::size_t part_offset = 0;
};
/// The client's bytes from the cursor to the next substitution, which leave as they are; empty if
/// they are fewer than `least`.
std::string_view take_unchanged(const BodyView& body, BodyCursor& cursor, std::size_t least);
/// Writes the next piece, at most `size` bytes; returns how many, 0 at the end.
std::size_t write_body(const BodyView& body, BodyCursor& cursor, char* out, std::size_t size);

}  // namespace iron::transforms
