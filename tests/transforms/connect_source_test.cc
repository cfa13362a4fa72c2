#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "tests/transforms/built_source.h"
#include "tests/transforms/fake_outside.h"

namespace iron::transforms {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr const char* kVaultId = "abcdefghijklmnopqrstuvwxyz";
constexpr const char* kItemId = "01234567890123456789012345";
constexpr const char* kHost = "http://connect:8080";

std::string source_of(const std::string& reference, const std::string& more = "") {
  return "{type: 1password_connect, secret_ref: '" + reference + "', ttl: -1ns" + more + "}";
}

/// A server by its answers: target to status and body.
class FakeConnect {
 public:
  FakeConnect() {
    outside.variables["OP_CONNECT_HOST"] = kHost;
    outside.secret_variables["OP_CONNECT_TOKEN"] = "connect-token-012345";
    answers["/v1/vaults?filter=title+eq+%22Eng%22"] = {200, R"([{"id":"v1","name":"Eng"}])"};
    answers["/v1/vaults/v1/items?filter=title+eq+%22OpenAI%22"] = {
        200, R"([{"id":"i1","title":"OpenAI","vault":{"id":"v1"}}])"};
    answers["/v1/vaults/v1/items/i1"] = {200, R"({"id":"i1",
        "sections":[{"id":"s1","label":"Keys"}],
        "fields":[
          {"id":"username","label":"user","value":"alice"},
          {"id":"credential","label":"api key","value":"sk-1","section":{"id":"s1"}},
          {"id":"other","label":"api key","value":"sk-2","section":{"id":"s2","label":"Spare"}},
          {"id":"blank","value":""},
          {"id":"none"}]})"};
    outside.otherwise = [this](const FakeOutside::Sent& sent) -> Result<CallAnswer> {
      const auto found = answers.find(sent.url.substr(std::string(kHost).size()));
      if (found == answers.end()) return FakeOutside::answer(404, "");
      return FakeOutside::answer(found->second.first, found->second.second);
    };
  }
  std::string get(const std::string& reference, const std::string& more = "") {
    outside.sent.clear();
    return BuiltSource(source_of(reference, more)).get(outside);
  }
  std::vector<std::string> targets() const {
    std::vector<std::string> out;
    for (const auto& sent : outside.sent) out.push_back(sent.url.substr(std::string(kHost).size()));
    return out;
  }

  FakeOutside outside;
  std::map<std::string, std::pair<int, std::string>> answers;
};

TEST(ConnectSource, FaultsOfTheBlock) {
  struct Row {
    const char* yaml;
    const char* fault;
  };
  for (const Row& row : {
           Row{"{type: 1password_connect}",
               R"(1password_connect source requires "secret_ref" field)"},
           Row{"{type: 1password_connect, secret_ref: x}",
               R"(1password_connect: secret_ref "x" must start with "op://")"},
           Row{"{type: 1password_connect, secret_ref: 'op://a/b'}",
               R"(1password_connect: secret_ref "op://a/b" must have 3 or 4 path segments )"
               "(op://vault/item/[section/]field)"},
           Row{"{type: 1password_connect, secret_ref: 'op://a/b/c/d/e'}",
               R"(1password_connect: secret_ref "op://a/b/c/d/e" must have 3 or 4 path segments )"
               "(op://vault/item/[section/]field)"},
           Row{"{type: 1password_connect, secret_ref: 'op://a//b', ttl: x}",
               R"(1password_connect: secret_ref "op://a//b" has an empty path segment)"},
           Row{"{type: 1password_connect, secret_ref: 'op://a/b/c', ttl: zz}",
               R"(parsing ttl "zz": time: invalid duration "zz")"},
           Row{"{type: 1password_connect, secret_ref: 'op://a/b/c', json_key: k}", "none"},
       }) {
    EXPECT_EQ(fault_of(row.yaml), row.fault) << row.yaml;
  }
  EXPECT_EQ(BuiltSource(source_of("op://a/b/c")).source->name(), "op://a/b/c");
}

TEST(ConnectSource, ByTitles) {
  FakeConnect connect;
  EXPECT_EQ(connect.get("op://Eng/OpenAI/user"), "alice");
  EXPECT_THAT(connect.targets(), ElementsAre("/v1/vaults?filter=title+eq+%22Eng%22",
                                             "/v1/vaults/v1/items?filter=title+eq+%22OpenAI%22",
                                             "/v1/vaults/v1/items/i1"));
  for (const FakeOutside::Sent& sent : connect.outside.sent) {
    EXPECT_EQ(sent.method, "GET");
    EXPECT_THAT(sent.fields, ElementsAre("Authorization: Bearer connect-token-012345",
                                         "Content-Type: application/json",
                                         "User-Agent: iron-proxy/0.39.0+cpp." IRON_OWN_VERSION));
    EXPECT_EQ(sent.redirects, CallRequest::Redirects::refused);
  }
}

TEST(ConnectSource, ByIds) {
  FakeConnect connect;
  const std::string vault = std::string("/v1/vaults/") + kVaultId;
  const std::string item = vault + "/items/" + kItemId;
  connect.answers[vault] = {200, "{}"};
  connect.answers[item] = {200, R"({"fields":[{"id":"f","value":"sk"}]})"};
  const std::string reference = std::string("op://") + kVaultId + "/" + kItemId + "/f";
  EXPECT_EQ(connect.get(reference), "sk");
  EXPECT_THAT(connect.targets(), ElementsAre(vault, item));
  // An item that only looks like an id.
  const std::string list = vault + "/items?filter=title+eq+%22" + kItemId + "%22";
  connect.answers.erase(item);
  connect.answers[list] = {200, R"([{"id":"i1","vault":{"id":"v1"}}])"};
  EXPECT_EQ(connect.get(std::string("op://") + kVaultId + "/" + kItemId + "/user"), "alice");
  EXPECT_THAT(connect.targets(), ElementsAre(vault, item, list, "/v1/vaults/v1/items/i1"));
}

TEST(ConnectSource, NamesAreSentAsTheyAre) {
  FakeConnect connect;
  connect.get("op://a \"b\"&ü/x/f");
  EXPECT_THAT(connect.targets(),
              ElementsAre("/v1/vaults?filter=title+eq+%22a+%22b%22%26%C3%BC%22"));
  connect.answers["/v1/vaults?filter=title+eq+%22Eng%22"] = {200, R"([{"id":"../x?"}])"};
  connect.get("op://Eng/x/f");
  EXPECT_EQ(connect.targets()[1], "/v1/vaults/..%2Fx%3F/items?filter=title+eq+%22x%22");
}

TEST(ConnectSource, FieldsAndSections) {
  const std::string front = "!resolving 1password_connect secret \"op://Eng/OpenAI/";
  struct Row {
    std::string rest, value;
  };
  for (const Row& row : std::vector<Row>{
           {"username", "alice"},
           {"api key", "sk-1"},
           {"s1/credential", "sk-1"},
           {"s1/api key", "sk-1"},
           {"Spare/api key", "sk-2"},
           {"s2/other", "sk-2"},
           {"nofield", front + "nofield\": field \"nofield\" not found on item"},
           {"Keys/credential", front +
                                   "Keys/credential\": field \"credential\" in section \"Keys\" "
                                   "not found on item"},
           {"blank",
            R"(!1password_connect secret "op://Eng/OpenAI/blank" resolved to empty value)"},
           {"none", R"(!1password_connect secret "op://Eng/OpenAI/none" resolved to empty value)"},
       }) {
    FakeConnect connect;
    EXPECT_EQ(connect.get("op://Eng/OpenAI/" + row.rest), row.value);
  }
}

TEST(ConnectSource, WhatCannotBeFound) {
  const std::string vaults = "/v1/vaults?filter=title+eq+%22Eng%22";
  const std::string items = "/v1/vaults/v1/items?filter=title+eq+%22OpenAI%22";
  const std::string front = R"(!resolving 1password_connect secret "op://Eng/OpenAI/user": )";
  struct Row {
    std::string target;
    int status;
    std::string body, error;
  };
  for (const Row& row : std::vector<Row>{
           {vaults, 200, "[]", R"(looking up vault "Eng": Found 0 vaults with title "Eng")"},
           {vaults, 200, R"([{"id":"a"},{"id":"b"}])",
            R"(looking up vault "Eng": Found 2 vaults with title "Eng")"},
           {vaults, 401, R"({"status":401,"message":"Invalid token signature"})",
            R"(looking up vault "Eng": status 401: Invalid token signature)"},
           {vaults, 502, "<html>", R"(looking up vault "Eng": status 502: Bad Gateway)"},
           {vaults, 500, "{}", R"(looking up vault "Eng": status 500: Internal Server Error)"},
           {vaults, 302, "", R"(looking up vault "Eng": status 302: Found)"},
           {vaults, 401, R"({"status":401,"message":"bad connect-token-012345"})",
            R"(looking up vault "Eng": status 401: )"},
           {items, 200, "[]",
            R"(looking up item "OpenAI": Found 0 item(s) in vault "v1" with title "OpenAI")"},
           {items, 403, R"({"status":403,"message":"no"})",
            R"(looking up item "OpenAI": status 403: no)"},
           {"/v1/vaults/v1/items/i1", 404, R"({"status":404,"message":"gone"})",
            R"(looking up item "OpenAI": status 404: gone)"},
           {"/v1/vaults/v1/items/i1", 200, "sk-raw",
            R"(looking up item "OpenAI": decoding response: invalid JSON)"},
       }) {
    FakeConnect connect;
    connect.answers[row.target] = {row.status, row.body};
    EXPECT_EQ(connect.get("op://Eng/OpenAI/user"), front + row.error);
  }
  FakeConnect connect;
  connect.answers[vaults] = {200, "{}"};
  EXPECT_THAT(connect.get("op://Eng/OpenAI/user"),
              ::testing::StartsWith(front + "looking up vault \"Eng\": decoding response: "));
}

TEST(ConnectSource, EachItemOfATitleIsAskedFor) {
  FakeConnect connect;
  connect.answers["/v1/vaults/v1/items?filter=title+eq+%22OpenAI%22"] = {
      200, R"([{"id":"i1","vault":{"id":"v1"}},{"id":"i2","vault":{"id":"v2"}}])"};
  connect.answers["/v1/vaults/v2/items/i2"] = {200, "{}"};
  EXPECT_EQ(connect.get("op://Eng/OpenAI/user"),
            "!resolving 1password_connect secret \"op://Eng/OpenAI/user\": looking up item "
            "\"OpenAI\": Found 2 item(s) in vault \"v1\" with title \"OpenAI\"");
  EXPECT_EQ(connect.targets().size(), 4U);
}

TEST(ConnectSource, HostAndToken) {
  FakeConnect connect;
  connect.outside.secret_variables.clear();
  EXPECT_EQ(
      connect.get("op://a/b/c"),
      R"(!creating 1password_connect client: env var "OP_CONNECT_TOKEN" is not set or empty)");
  connect.outside.variables.clear();
  EXPECT_EQ(connect.get("op://a/b/c"),
            R"(!creating 1password_connect client: env var "OP_CONNECT_HOST" is not set or empty)");
  const std::string own = ", host_env: MY_HOST, token_env: MY_TOKEN";
  EXPECT_EQ(connect.get("op://a/b/c", own),
            R"(!creating 1password_connect client: env var "MY_HOST" is not set or empty)");
  EXPECT_THAT(connect.outside.sent, IsEmpty());
  connect.outside.variables["MY_HOST"] = kHost;
  connect.outside.secret_variables["MY_TOKEN"] = "other";
  EXPECT_EQ(connect.get("op://Eng/OpenAI/user", own), "alice");
  EXPECT_EQ(connect.outside.sent[0].field("Authorization"), "Bearer other");
}

TEST(ConnectSource, NetworkErrorsNameTheUrl) {
  FakeConnect connect;
  connect.outside.fails("dial tcp 127.0.0.1:1: connect: connection refused");
  EXPECT_EQ(connect.get("op://Eng/OpenAI/user"),
            "!resolving 1password_connect secret \"op://Eng/OpenAI/user\": looking up vault "
            "\"Eng\": Get \"http://connect:8080/v1/vaults?filter=title+eq+%22Eng%22\": dial tcp "
            "127.0.0.1:1: connect: connection refused");
}

}  // namespace
}  // namespace iron::transforms
