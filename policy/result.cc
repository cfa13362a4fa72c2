#include "policy/result.h"

#include <stdexcept>

namespace iron {

void throw_exception_from_error(const Error& error, const boost::source_location&) {
  throw std::runtime_error(error.text);
}

}  // namespace iron
