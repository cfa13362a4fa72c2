#pragma once

#include <string>
#include <string_view>

namespace iron::policy {

/// Decodes `%XX` once; `+` stays. `out` is overwritten and keeps its capacity. False when a `%` is
/// not followed by two hex digits; `out` is then unspecified.
bool percent_decode(std::string_view raw, std::string& out);

/// Decodes as percent_decode() does, except for encoded separators, which stay as the texts `%2F`
/// and `%5C`. False, with `out` untouched, when the path holds none of them or a bad escape.
bool decode_keeping_separators(std::string_view raw, std::string& out);

/// Which segments count as dot segments.
enum class DotSegments {
  plain,   ///< `.` and `..`
  strict,  ///< also `.` and `..` before `;`: `/a/..;x/b` (`proxy.strict_paths`)
};

/// Whether a segment of the path as it stands is a dot segment; also one behind `\`. Copies
/// nothing.
bool shows_dot_segments(std::string_view path, DotSegments kind);
/// Whether a segment of the decoded path is a dot segment; also one behind `\`, or one that another
/// decoding would reveal. Without `.` and `%` in the path it costs two scans and no allocation.
bool has_dot_segments(std::string_view decoded, DotSegments kind = DotSegments::plain);

}  // namespace iron::policy
