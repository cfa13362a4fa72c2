#include "tests/transforms/fake_outside.h"

#include <stdexcept>

#include "policy/http_message.h"

namespace iron::transforms {
namespace {

std::pair<std::string, std::string> split(const std::string& field) {
  const std::size_t colon = field.find(": ");
  return {field.substr(0, colon), field.substr(colon + 2)};
}

}  // namespace

std::string FakeOutside::Sent::field(const std::string& name) const {
  for (const std::string& each : fields) {
    const auto [spelled, value] = split(each);
    if (iequals(spelled, name)) return value;
  }
  return {};
}

CallAnswer FakeOutside::answer(int status,
                               const std::string& body,
                               const std::vector<std::string>& fields) {
  CallAnswer out;
  out.status = status;
  CallAnswer::Fields views;
  for (const std::string& field : fields) {
    const std::string_view text = field;
    const std::size_t colon = text.find(": ");
    views.emplace_back(text.substr(0, colon), text.substr(colon + 2));
  }
  out.set_head({}, views);
  out.body = Secret::copy_of(body);
  return out;
}

void FakeOutside::answers(int status, const std::string& body, std::vector<std::string> fields) {
  ready_.emplace_back(answer(status, body, fields));
}

void FakeOutside::fails(const std::string& error) { ready_.emplace_back(fail(error)); }

Task<Result<CallAnswer>> FakeOutside::call(const CallRequest& request) {
  Sent what;
  what.method = request.method;
  what.url = request.url;
  what.redirects = request.redirects;
  what.limit = request.limit;
  what.trust = request.trust;
  what.parent = request.parent;
  if (request.body != nullptr) what.body = text_of(*request.body);
  for (const CallRequest::Field& field : request.fields) {
    what.fields.push_back(field.name + ": " +
                          (field.secret != nullptr ? text_of(*field.secret) : field.text));
  }
  sent.push_back(what);
  if (!ready_.empty()) {
    Result<CallAnswer> next = std::move(ready_.front());
    ready_.pop_front();
    co_return std::move(next);
  }
  if (!otherwise) throw std::runtime_error("no answer for " + what.first_line());
  co_return otherwise(what);
}

Task<Result<Secret>> FakeOutside::read_file(const std::string& path, std::size_t most) {
  const auto found = files.find(path);
  if (found == files.end()) {
    co_return fail("open " + path + ": no such file or directory", Fault::gone);
  }
  if (found->second.size() > most) co_return fail("file too large", Fault::body_too_large);
  co_return Secret::copy_of(found->second);
}

Task<Result<Secret>> FakeOutside::read_directory(const std::string& path, std::size_t most) {
  std::string all;
  for (const auto& [name, text] : files) {
    if (name.starts_with(path + "/")) all += text + "\n";
  }
  if (all.empty()) co_return fail("open " + path + ": no such file or directory", Fault::gone);
  if (all.size() > most) co_return fail("file too large", Fault::body_too_large);
  co_return Secret::copy_of(all);
}

Task<Result<Secret>> FakeOutside::run(const ProgramRun& what) {
  if (!program) throw std::runtime_error("no program " + what.program);
  co_return program(what);
}

Task<bool> FakeOutside::sleep(std::chrono::nanoseconds duration) {
  slept.push_back(duration);
  time_ns += duration.count();
  co_return true;
}

std::optional<std::string> FakeOutside::variable(const char* name) const {
  const auto found = variables.find(name);
  if (found == variables.end() || found->second.empty()) return std::nullopt;
  return found->second;
}

SecretPtr FakeOutside::secret_variable(const std::string& name) const {
  const auto found = secret_variables.find(name);
  if (found == secret_variables.end() || found->second.empty()) return nullptr;
  return std::make_shared<const Secret>(Secret::copy_of(found->second));
}

void FakeOutside::note(Gravity gravity,
                       std::string_view message,
                       std::initializer_list<Note> attributes) {
  std::string line = gravity == Gravity::warn ? "WARN " : "ERROR ";
  line += message;
  for (const Note& note : attributes) {
    line.append(" ").append(note.key).append("=");
    line += note.is_number ? std::to_string(note.number) : std::string(note.text);
  }
  notes.push_back(line);
}

}  // namespace iron::transforms
