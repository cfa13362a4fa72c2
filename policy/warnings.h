#pragma once

#include <string>
#include <vector>

namespace iron::policy {

/// Something in the configuration that works but deserves a WARN record at start and reload.
/// `message` is one of `transform config key ignored`, `pattern never matches`, `risky setting`,
/// `dns record not used`, `CA files missing, keeping the loaded pair`,
/// `transform behind aws_auth can break its signatures`, `credentials provider not supported`,
/// `secret value is written in the configuration`; the attributes keep their order.
struct ConfigWarning {
  std::string message;
  struct Attribute {
    std::string name;
    std::string text;
    bool is_number = false;  ///< `text` is written without quotes
  };
  std::vector<Attribute> attributes;
  bool once = false;  ///< once for each process: its operator may not be able to act on it
};

}  // namespace iron::policy
