#pragma once

#include <regex>
#include <string>

namespace iron::proxy::test {

/// The answer with its date replaced by `<D>`, which must be an IMF-fixdate.
inline std::string dateless(const std::string& answer) {
  static const std::regex date(
      "Date: (Mon|Tue|Wed|Thu|Fri|Sat|Sun), [0-3][0-9] "
      "(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) 20[0-9][0-9] "
      "[0-2][0-9]:[0-5][0-9]:[0-6][0-9] GMT\r\n");
  return std::regex_replace(answer, date, "Date: <D>\r\n");
}

}  // namespace iron::proxy::test
