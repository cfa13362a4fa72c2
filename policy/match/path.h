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

/// Writes `raw` without its literal `.` segments, as an origin reads it that normalises paths (RFC
/// 3986 section 5.2.4): `/a/./b` is `/a/b`, `/a/.` is `/a/`. Segments end at `/` alone; whatever is
/// encoded stays. False, with `out` untouched, when there is none.
bool remove_dot_segments(std::string_view raw, std::string& out);
/// Whether a `.` at `i` is a whole segment between slashes, or between a slash and the end.
bool is_dot_segment(std::string_view path, std::size_t i);

/// Whether a segment of the path as it stands is a dot segment; also one behind `\`. Copies
/// nothing.
bool shows_dot_segments(std::string_view path, DotSegments kind);
/// Whether a segment of the decoded path is a dot segment; also one behind `\`, or one that another
/// decoding would reveal. Without `.` and `%` in the path it costs two scans and no allocation.
bool has_dot_segments(std::string_view decoded, DotSegments kind = DotSegments::plain);

}  // namespace iron::policy
