#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "policy/result.h"
#include "proxy/http/answers.h"
#include "proxy/log/record.h"
#include "transforms/exchange.h"

namespace iron::proxy {

/// How an exchange ends that no upstream answers: what its record says, and what the client gets
/// (docs/compatibility.md, "Answers"; docs/records.md). The one place for all of them.
struct OwnEnding {
  enum class Answered {
    yes,
    no,     ///< the client was silent: its connection closes
    reset,  ///< it is gone, or cut off
  } answered = Answered::yes;
  OwnAnswer answer;
  /// Its record is that of a refusal before policy, and counted with those.
  bool before_policy = false;
  Action action = Action::reject;
  int status = 403;
  std::string error;
  std::string_view rejected_by;  ///< of the record, lives for good; empty: what policy says stays
  std::string denial_reason;     ///< for X-Iron-Proxy-Reason; empty: what policy says stays
  /// What was held of the body must not be kept from others while the client takes its answer.
  bool frees_body = false;

  /// A head that cannot be served.
  static OwnEnding of_head(HeadFault fault);
  /// A request that is refused before policy; `error` is the answer's body, too.
  static OwnEnding of_refusal(std::string_view error);
  /// A request that policy refuses, with the answer of policy if it has one.
  static OwnEnding of_denial(std::string_view rejected_by,
                             const std::optional<transforms::PolicyAnswer>& answer = {});
  /// A request that policy answers in the place of the origin.
  static OwnEnding of_answer(const transforms::PolicyAnswer& answer);
  /// A TRACE whose answer would show keys (RFC 9110 section 9.3.8).
  static OwnEnding of_scrubbed_trace();
  /// The last proxy that an OPTIONS or a TRACE may pass (RFC 9110 section 7.6.2): to an OPTIONS we
  /// are a server without options; a TRACE would show what only we see.
  static OwnEnding of_last_hop(std::string_view method);
  /// A failure of policy, of the client or of the upstream. `cut`: everything ends now.
  static OwnEnding of_failure(const Error& error, bool cut);
};

}  // namespace iron::proxy
