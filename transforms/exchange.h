#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "policy/http_message.h"
#include "policy/match/host.h"
#include "policy/match/path.h"
#include "policy/secret/secret.h"
#include "transforms/body_change.h"
#include "transforms/scratch.h"
#include "transforms/supply.h"

namespace iron::transforms {

/// How much of a connection policy sees. `passthrough` (`proxy.passthrough`) is judged as sni_only.
enum class Mode { mitm, sni_only, passthrough };

/// `length` bytes at `begin` of what the client sent are replaced by `value`. The value lives as
/// long as the pipeline that wrote the substitution, or is held by the exchange.
struct Substitution {
  std::size_t begin = 0;
  std::size_t length = 0;
  const Secret* value = nullptr;
};

/// What leaves instead of a field's value.
struct FieldRewrite {
  /// `basic`: the offsets are in the base64-decoded payload of a Basic credential, which is encoded
  /// again.
  enum class Kind { plain, basic, whole } kind = Kind::plain;
  std::vector<Substitution>
      parts;                  ///< ordered, not overlapping; `whole`: one part, the value alone
  std::string_view spelling;  ///< name to send; empty: the client's
  std::string decoded;        ///< `basic`: the client's decoded payload
};

/// A replaced or added query pair: the pair at `begin`,`length` of the raw query is written as key
/// bytes + `=` + value; with `cut` as it is but for some ranges.
struct QueryRewrite {
  enum class Kind { substitute, set, remove, append, cut } kind = Kind::substitute;
  std::size_t begin = 0, length = 0;  ///< range of the whole raw pair, without `&`
  std::size_t value_begin = 0;        ///< offset of the raw value in the raw query
  std::string decoded;                ///< `substitute`: the form-decoded client value
  /// `substitute`: ranges of `decoded`; `cut`: ranges of the raw pair that do not leave.
  std::vector<Substitution> parts;
  std::string_view key;           ///< `append`: key to write, form-encoded when written
  const Secret* value = nullptr;  ///< `set` and `append`
};

enum class TraceAction { allow, reject, stub, error };

/// One transform's entry in the record.
struct Trace {
  std::string_view name;
  TraceAction action = TraceAction::allow;
  std::int64_t duration_ns = 0;
  std::string annotations;  ///< a JSON object with keys in byte order, or empty
  std::string error;
};

/// The body of a request or an answer as the transforms see it.
struct BodyView {
  bool present = false;     ///< the message has a body (may turn out empty)
  bool loaded = false;      ///< `bytes` holds what body_need() asked for
  bool complete = false;    ///< `bytes` is the whole body
  bool failed = false;      ///< the client broke off; `bytes` is what came
  bool too_large = false;   ///< request only: it was needed whole, and is longer than `limit`
  std::uint64_t limit = 0;  ///< request only: of one that is needed whole
  /// Request only: the length that its head tells; nothing where the end tells it.
  std::optional<std::uint64_t> declared;
  std::string_view bytes;
  std::vector<Substitution> parts;  ///< request only: replacements in `bytes`
};

/// An answer that a transform makes instead of an origin.
struct PolicyAnswer {
  int status = 0;
  std::string_view content_type;  ///< lives for good
  std::string body;
};

struct BodyCapture {
  std::string text;
  bool truncated = false;
};

/// One request on its way through the pipeline: what the client sent, never changed, and what
/// leaves instead. Reused between requests of a worker; reset() keeps capacities. Not thread safe.
struct Exchange {
  Mode mode = Mode::mitm;
  bool tunnel_check = false;  ///< synthetic request of a CONNECT or SOCKS5 target
  bool client_tls = false;    ///< the request came over TLS (judged by `require_tls`)
  bool upgrade = false;       ///< a valid WebSocket upgrade

  /// Head without hop-by-hop fields. Transforms may change `rewrite` of a field, remove and add
  /// fields.
  Request request;
  policy::Authority authority;           ///< effective host
  std::string path;                      ///< percent-decoded path; policy and record
  std::optional<std::string> path_kept;  ///< see policy::Subject::path_kept
  /// See policy::Subject.
  std::optional<std::string> path_reduced, path_kept_reduced;
  std::string_view host;            ///< as it leaves in `Host`
  std::string_view raw_path;        ///< part of the target before `?`
  std::string_view raw_query;       ///< part after `?`
  bool has_query = false;           ///< a `?` was there
  std::string_view remote_address;  ///< ip:port

  std::vector<FieldRewrite> field_rewrites;
  std::size_t field_rewrite_count = 0;  ///< used entries; the rest keep their capacity
  std::vector<QueryRewrite> query_rewrites;
  /// Where a pair begins: its place in `query_rewrites`. A client may send 30,000 pairs.
  std::map<std::size_t, std::size_t> rewrites_of_pairs;
  std::vector<Substitution> path_parts;  ///< ranges of the decoded path
  BodyView body;
  BodyView response_body;
  std::optional<BodyCapture> capture;

  std::vector<Trace> request_traces;
  std::size_t request_trace_count = 0;
  std::vector<Trace> response_traces;
  std::size_t response_trace_count = 0;
  std::string_view rejected_by;  ///< transform name, or `protocol`, `pin_tunnel_target`
  std::string_view stubbed_by;   ///< the transform that answered
  bool quiet_refusal = false;    ///< refused, and `quiet` of the allowlist names the host
  std::string denial_reason;  ///< for X-Iron-Proxy-Reason: `<transform>: <reason>`, never a secret
  std::string error;          ///< of a failed pipeline: `transform NAME request: TEXT`
  std::size_t next_transform = 0;

  const Response* response = nullptr;  ///< set for the response phase
  Scratch scratch;

  /// Set by who runs the exchange, where the pipeline has supplies: what they had when it began,
  /// and the time by the monotonic clock.
  ValuesPtr values;
  std::int64_t now_ns = 0;
  /// What came for this exchange alone.
  std::vector<std::pair<const Supply*, SuppliedPtr>> supplied;
  const Supply* awaited = nullptr;  ///< of Verdict::wait
  /// When the transform that waits began.
  std::optional<std::chrono::steady_clock::time_point> step_began;
  std::optional<PolicyAnswer> answer;              ///< of Verdict::answer and Verdict::reject
  std::vector<std::unique_ptr<const Secret>> own;  ///< values made for this request
  std::unique_ptr<BodyChange> body_change;         ///< null: the body leaves as `body` says

  /// What it has of the supply: what came for it, or what was there and is still fresh. Null: it
  /// has to wait, and `awaited` is set.
  const Supplied* use(const Supply& supply);
  /// The same of whatever age; null if nothing ever came.
  const Supplied* known(const Supply& supply) const;
  /// Keeps a value until the exchange ends.
  const Secret& hold(Secret value);

  /// Fills `path` and `path_kept` from `raw_path`. False: a malformed escape, both mean nothing.
  bool decode_path();
  /// Whether the path, once decoded, is refused for its dot segments. Literal `.` segments are none
  /// but with DotSegments::strict; they fill `path_reduced` and `path_kept_reduced`.
  bool refuses_dot_segments(policy::DotSegments kind);
  policy::Subject subject() const;
  /// The path as an origin may read it that drops `.` segments and joins slashes.
  std::string plain_path() const;
  FieldRewrite& rewrite_of(Field& field);  ///< the field's rewrite, made when missing
  /// The rewrite of the raw query's pair that begins there, or null.
  const QueryRewrite* find_rewrite_of_pair(std::size_t begin) const;
  QueryRewrite& rewrite_of_pair(std::size_t begin);  ///< the same, made when missing
  Trace& new_request_trace();                        ///< cleared entry, capacity kept
  Trace& new_response_trace();
  bool holds_secret() const;  ///< something of the rewrite carries a Secret
  /// Ready for the next request: keeps capacities, forgets all content.
  void reset();
};

}  // namespace iron::transforms
