#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "policy/secret/secret.h"

namespace iron::transforms {

/// The text of the first element at `path` (names from the root on, `*` for any) in an answer of
/// AWS's query protocol. Knows elements, attributes (not read), comments, the declaration and the
/// five entities of XML 1.0 section 4.6; nothing if anything else stands in front of the element,
/// so no document type and no CDATA. Prefixes of names are part of the names.
std::optional<Secret> xml_text(std::string_view document, std::span<const std::string_view> path);

}  // namespace iron::transforms
