#include "transforms/auth/aws_answers.h"

#include <algorithm>
#include <array>
#include <string>

#include "transforms/auth/xml_text.h"
#include "transforms/sources/secret_json.h"

namespace iron::transforms {
namespace {

constexpr std::size_t kLongestBody = std::size_t{1} << 20;
using Kind = SecretJson::Kind;

/// Reads digits and marks from the front of a text.
class TimeReader {
 public:
  explicit TimeReader(std::string_view text) : rest_(text) {}

  int number(std::size_t digits) {
    int value = 0;
    for (std::size_t i = 0; i < digits; ++i) {
      const char c = i < rest_.size() ? rest_[i] : '\0';
      if (c < '0' || c > '9') good_ = false;
      if (good_) value = value * 10 + (c - '0');
    }
    rest_.remove_prefix(std::min(rest_.size(), digits));
    return value;
  }
  /// One of `marks`; 0 if none is there.
  char mark(std::string_view marks) {
    const char c = rest_.empty() ? '\0' : rest_.front();
    if (rest_.empty() || marks.find(c) == marks.npos) {
      good_ = false;
      return 0;
    }
    rest_.remove_prefix(1);
    return c;
  }
  void skip_fraction() {
    if (!rest_.starts_with('.')) return;
    rest_.remove_prefix(1);
    number(1);
    while (!rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9') rest_.remove_prefix(1);
  }
  bool good() const { return good_; }
  bool at_end() const { return good_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool good_ = true;
};

std::optional<Secret> text_of(const SecretJson& object, std::string_view name) {
  const auto member = object.member(name);
  if (!member || member->kind() != Kind::string) return std::nullopt;
  return member->text();
}

/// `expiry` is empty where an answer has none.
Result<AwsCredentials> assemble(std::optional<Secret> id,
                                std::optional<Secret> key,
                                std::optional<Secret> token,
                                const std::optional<Secret>& expiry) {
  if (!id || id->empty()) return fail("the answer has no AccessKeyId");
  if (!key || key->empty()) return fail("the answer has no SecretAccessKey");
  AwsCredentials out;
  out.access_key_id = std::move(*id);
  out.secret_access_key = std::move(*key);
  if (token) out.session_token = std::move(*token);
  if (!expiry || expiry->empty()) return out;
  out.expiry = parse_rfc3339(expiry->reveal());
  if (!out.expiry) return fail("the Expiration of the answer is not a time");
  return out;
}

}  // namespace

std::optional<std::chrono::sys_seconds> parse_rfc3339(std::string_view text) {
  TimeReader reader(text);
  const int year = reader.number(4);
  reader.mark("-");
  const int month = reader.number(2);
  reader.mark("-");
  const int day = reader.number(2);
  reader.mark("Tt ");
  const int hour = reader.number(2);
  reader.mark(":");
  const int minute = reader.number(2);
  reader.mark(":");
  const int second = reader.number(2);
  reader.skip_fraction();
  const char zone = reader.mark("Zz+-");
  const bool offset = zone == '+' || zone == '-';
  const int hours_off = offset ? reader.number(2) : 0;
  if (offset) reader.mark(":");
  const int minutes_off = offset ? reader.number(2) : 0;
  const std::chrono::year_month_day date{std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!reader.at_end() || !date.ok() || hour > 23 || minute > 59 || second > 60 || hours_off > 23 ||
      minutes_off > 59) {
    return std::nullopt;
  }
  const auto off = std::chrono::hours(hours_off) + std::chrono::minutes(minutes_off);
  const auto local = std::chrono::sys_days(date) + std::chrono::hours(hour) +
                     std::chrono::minutes(minute) + std::chrono::seconds(second);
  return zone == '-' ? local + off : local - off;
}

Result<AwsCredentials> read_sts_answer(const Secret& body, std::string_view action) {
  const std::string_view document = body.reveal().substr(0, kLongestBody);
  const std::string response = std::string(action) + "Response",
                    result = std::string(action) + "Result";
  const auto text = [&](std::string_view name) {
    const std::array<std::string_view, 4> path{response, result, "Credentials", name};
    return xml_text(document, path);
  };
  auto expiry = text("Expiration");
  if (!expiry) return fail("the answer has no Expiration");
  return assemble(text("AccessKeyId"), text("SecretAccessKey"), text("SessionToken"), expiry);
}

Result<AwsCredentials> read_aws_json_answer(const Secret& body, AwsJsonAnswer kind) {
  const auto object = SecretJson::parse(body.reveal().substr(0, kLongestBody));
  if (!object || object->kind() != Kind::object) return fail("the answer is not a JSON object");
  if (kind == AwsJsonAnswer::instance) {
    const auto code = object->member("Code");
    if (!code || !code->is("Success")) return fail("the Code of the answer is not Success");
  }
  if (kind == AwsJsonAnswer::process) {
    const auto version = object->member("Version");
    if (!version || version->kind() != Kind::number || version->raw() != "1")
      return fail("the Version of the answer is not 1");
  }
  return assemble(text_of(*object, "AccessKeyId"), text_of(*object, "SecretAccessKey"),
                  text_of(*object, kind == AwsJsonAnswer::process ? "SessionToken" : "Token"),
                  text_of(*object, "Expiration"));
}

}  // namespace iron::transforms
