#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// Private to the yaml_*.cc files.

namespace iron::policy {

/// A place in the text; all counted from 0.
struct YamlMark {
  std::size_t offset = 0;
  int line = 0;
  int column = 0;
};

/// A collection that had begun and not ended.
struct YamlOpen {
  YamlMark start;
  bool mapping = false;
  bool flow = false;
  std::size_t key = std::string::npos;  ///< offset of the key that is being read
};

/// What is known when a text is not YAML.
struct YamlFault {
  std::string message;  ///< of the YAML library
  YamlMark at;
  YamlMark last;                   ///< start of the last value that was complete
  std::vector<YamlOpen> open;      ///< outermost first
  std::optional<YamlOpen> closed;  ///< the last that ended
  bool padded = false;             ///< the text got a line feed at its end
};

/// Messages for faults that the library lets pass.
inline constexpr char kYamlBareKey[] = "could not find expected ':'";
inline constexpr char kYamlMissingKey[] = "did not find expected key";

/// `line 2: did not find expected key`: the line that existing deployments see for the same fault,
/// and a text.
std::string yaml_fault_text(std::string_view text, const YamlFault& fault);

/// True if the text holds nothing but blanks and comments.
bool yaml_is_blank(std::string_view text);

}  // namespace iron::policy
