#include "proxy/http/connection_login.h"

#include <gtest/gtest.h>

#include <string_view>

#include "proxy/http/header_rules.h"

namespace iron::proxy {
namespace {

TEST(ConnectionLogin, SchemesOfCredentials) {
  const struct {
    const char* value;
    bool login;
  } rows[] = {
      {"NTLM TlRMTVNTUAAB", true},
      {"ntlm TlRMTVNTUAAB", true},
      {"Negotiate YIIJvw==", true},
      {"nEGOTIATE\tYIIJvw==", true},
      {"  Negotiate YIIJvw==", true},
      {"NTLM", true},
      {"Basic dXNlcjprZXk=", false},
      {"Bearer NTLM", false},
      {"NTLMv2 x", false},
      {"Negotiate2 x", false},
      {"XNTLM x", false},
      {"", false},
      {" ", false},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(logs_connection_in("Authorization", row.value), row.login) << row.value;
  }
}

TEST(ConnectionLogin, StandsInFieldsOfCredentials) {
  for (const char* name : {"Authorization", "authORIZATION", "Proxy-Authorization"}) {
    EXPECT_TRUE(logs_connection_in(name, "NTLM x")) << name;
  }
  for (const char* name : {"Authorisation", "Proxy-Authenticate_", "WWW-Authenticate", ""}) {
    EXPECT_FALSE(logs_connection_in(name, "NTLM x")) << name;
  }
}

TEST(ConnectionLogin, IsSeenInARequestOfTheClient) {
  for (const char* name : {"Authorization", "proxy-authorization"}) {
    Headers headers;
    headers.add("Host", "h.test");
    headers.add(name, "Basic x");
    EXPECT_FALSE(read_connection(headers).connection_login) << name;
    headers.add(name, "negotiate x");
    headers.add(name, "Basic y");
    EXPECT_TRUE(read_connection(headers).connection_login) << name;
  }
}

struct Challenge {
  const char* value;
  bool offered;
};
constexpr Challenge kChallenges[] = {
    {"NTLM", true},
    {"Negotiate", true},
    {"negotiate", true},
    {"NTLM TlRMTVNTUAACAAAA", true},
    {"Negotiate, NTLM", true},
    {"Basic realm=\"a\", NTLM", true},
    {"Basic realm=\"a\",NTLM", true},
    {"Basic realm=\"a\",\tNegotiate abc==", true},
    {"Digest realm=\"a\", nonce=\"b\", Negotiate", true},
    {",, NTLM", true},
    {"NTLM, Basic realm=\"a\"", true},
    {"Basic realm=\"a \\\" b\", NTLM", true},
    {"Basic realm=\"a, NTLM", true},
    {"Basic realm=\"a\\\", NTLM", true},
    {"Basic realm=\"NTLM\"", false},
    {"Basic realm=\"a, NTLM\"", false},
    {"Basic realm=\"a \\\", NTLM\"", false},
    {"Basic realm=NTLM", false},
    {"Basic NTLM=x", false},
    {"Basic realm=\"a\", NTLM=x", false},
    {"Bearer realm=\"a\", scope=\"b,c\"", false},
    {"NTLMish", false},
    {"", false},
    {",", false},
};

TEST(ConnectionLogin, OneOfSeveralChallenges) {
  for (const Challenge& row : kChallenges) {
    for (const char* name : {"WWW-Authenticate", "proxy-authenticate"}) {
      Response response;
      response.status = 401;
      response.headers.add("Content-Type", "text/plain");
      response.headers.add(name, "Digest realm=\"x\"");
      response.headers.add(name, row.value);
      EXPECT_EQ(offers_connection_login(response), row.offered) << name << ": " << row.value;
      response.status = 407;
      EXPECT_EQ(offers_connection_login(response), row.offered) << name << ": " << row.value;
      response.status = 200;
      EXPECT_FALSE(offers_connection_login(response)) << name << ": " << row.value;
    }
  }
}

TEST(ConnectionLogin, OtherFieldsOfferNothing) {
  Response response;
  response.status = 401;
  response.headers.add("X-Authenticate", "NTLM");
  response.headers.add("Authorization", "NTLM");
  EXPECT_FALSE(offers_connection_login(response));
}

}  // namespace
}  // namespace iron::proxy
