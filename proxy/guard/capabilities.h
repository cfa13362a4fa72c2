#pragma once

#include <span>
#include <string>

#include "policy/result.h"
#include "proxy/guard/landlock.h"

namespace iron::proxy {

/// Gives up every capability of the calling thread and of those it makes from now on. Root then
/// obeys file modes like any user: if one of `grants` could not be used any more, because it
/// belongs to somebody else, the one capability that opens it is kept; its name is the result.
Result<std::string> drop_capabilities(std::span<const FileGrant> grants);

}  // namespace iron::proxy
