#include "tls/client_hello.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace iron::tls {
namespace {

using State = ClientHello::State;

std::string number(std::size_t value, int octets) {
  std::string bytes;
  while (octets-- > 0) bytes += static_cast<char>(value >> (8 * octets) & 0xff);
  return bytes;
}
std::string vector(const std::string& bytes, int octets) {
  return number(bytes.size(), octets) + bytes;
}

std::string server_name(const std::string& name, int type = 0) {
  return vector(number(static_cast<std::size_t>(type), 1) + vector(name, 2), 2);
}
std::string extension(int type, const std::string& body) {
  return number(static_cast<std::size_t>(type), 2) + vector(body, 2);
}
std::string body(const std::string& extensions) {
  return "\x03\x03" + std::string(32, 'r') + vector(std::string(32, 's'), 1) +
         vector("\x13\x01\x13\x02", 2) + vector(std::string(1, '\0'), 1) + vector(extensions, 2);
}
std::string message(const std::string& content, int type = 1) {
  return number(static_cast<std::size_t>(type), 1) + vector(content, 3);
}
std::string record(const std::string& content, int type = 22) {
  return number(static_cast<std::size_t>(type), 1) + "\x03\x01" + vector(content, 2);
}
std::string hello(const std::string& extensions) { return record(message(body(extensions))); }
std::string hello_for(const std::string& name) {
  return hello(extension(43, "\x02\x03\x04") + extension(0, server_name(name)) +
               extension(16, "\0\x03\x02h2"));
}

TEST(ClientHelloTest, NameAsSent) {
  for (const std::string name :
       {"api.test", "API.Test", "a.test.", "a_b", "xn--bcher-kva.test", "1.2.3.4.5"}) {
    const ClientHello result = peek_client_hello(hello_for(name));
    EXPECT_EQ(result.state, State::complete);
    EXPECT_EQ(result.server_name, name);
  }
}

TEST(ClientHelloTest, OneNameAtMost) {
  const auto names = [](std::initializer_list<std::pair<int, const char*>> list) {
    std::string all;
    for (const auto& [type, name] : list)
      all += number(static_cast<std::size_t>(type), 1) + vector(name, 2);
    return hello(extension(0, vector(all, 2)));
  };
  EXPECT_EQ(peek_client_hello(names({{0, "a.test"}, {0, "b.test"}})).state, State::not_tls);
  EXPECT_EQ(peek_client_hello(names({{0, "a.test"}, {0, "a.test"}})).state, State::not_tls);
  EXPECT_EQ(peek_client_hello(names({{1, "b.test"}, {0, "a.test"}})).server_name, "a.test");
  EXPECT_EQ(peek_client_hello(names({{0, "a.test"}, {1, "b.test"}})).server_name, "a.test");
}

TEST(ClientHelloTest, AnAddressBeforeANulIsNone) {
  const std::string name("192.0.2.1\0.test", 15);
  EXPECT_EQ(peek_client_hello(hello_for(name)).server_name, name);
}

TEST(ClientHelloTest, NoName) {
  const std::string no_extensions = record(message(body("").substr(0, body("").size() - 2)));
  for (const std::string& bytes :
       {hello(""), no_extensions, hello(extension(43, "\x02\x03\x04")), hello_for("192.0.2.1"),
        hello_for("2001:db8::1"), hello(extension(0, server_name("a.test", 1)))}) {
    const ClientHello result = peek_client_hello(bytes);
    EXPECT_EQ(result.state, State::complete);
    EXPECT_EQ(result.server_name, "");
  }
}

TEST(ClientHelloTest, AnAddressIsToldApart) {
  for (const std::string address : {"192.0.2.1", "2001:db8::1"}) {
    const ClientHello result = peek_client_hello(hello_for(address));
    EXPECT_EQ(result.address, address);
    EXPECT_EQ(result.server_name, "");
  }
  EXPECT_EQ(peek_client_hello(hello_for("api.test")).address, "");
}

TEST(ClientHelloTest, EachPrefixIsIncomplete) {
  const std::string whole = hello_for("api.test");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const ClientHello result = peek_client_hello(std::string_view(whole).substr(0, size));
    EXPECT_EQ(result.state, State::incomplete) << size;
    EXPECT_EQ(result.server_name, "");
  }
}

TEST(ClientHelloTest, SeveralRecords) {
  const std::string whole = message(body(extension(0, server_name("api.test"))));
  for (std::size_t first = 1; first < whole.size(); ++first) {
    const std::string bytes = record(whole.substr(0, first)) + record(whole.substr(first));
    EXPECT_EQ(peek_client_hello(bytes).server_name, "api.test") << first;
    EXPECT_EQ(peek_client_hello(bytes.substr(0, bytes.size() - 1)).state, State::incomplete)
        << first;
  }
  std::string tiny;
  for (const char c : whole) tiny += record(std::string(1, c));
  EXPECT_EQ(peek_client_hello(tiny).server_name, "api.test");
}

TEST(ClientHelloTest, WhatFollowsIsNotLookedAt) {
  for (const std::string& more :
       {std::string("x"), std::string("\x14\x03\x03\x00\x01\x01", 6), record("early", 23)}) {
    EXPECT_EQ(peek_client_hello(hello_for("api.test") + more).server_name, "api.test");
  }
}

TEST(ClientHelloTest, OtherProtocols) {
  for (const std::string& bytes :
       {std::string("GET / HTTP/1.1\r\n\r\n"), std::string("SSH-2.0"), std::string("\0", 1),
        std::string("\x16\x02\x00", 3), std::string("\x16\x03\x01\x00\x00", 5),
        std::string("\x16\x03\x01\x40\x01", 5), record("x", 23), record(message("", 2)),
        record(std::string(1, '\x02')), record(std::string(1, '\x01')) + record("x", 21),
        std::string("\x80\x2e\x01\x03\x01", 5)}) {
    EXPECT_EQ(peek_client_hello(bytes).state, State::not_tls) << testing::PrintToString(bytes);
  }
}

TEST(ClientHelloTest, MalformedHello) {
  const std::string good = body(extension(0, server_name("a.test")));
  const auto changed = [&](std::size_t at, char value) {
    std::string copy = good;
    copy[at] = value;
    return record(message(copy));
  };
  const std::vector<std::string> rows = {
      record(message("")),
      record(message("\x03\x03")),
      record(message(good + "x")),                       // bytes behind the extensions
      record(message(good.substr(0, good.size() - 1))),  // an extension cut short
      changed(34, '\xff'),                               // session id runs over the end
      changed(68, '\x03'),                               // odd number of suite bytes
      hello(extension(0, "")),
      hello(extension(0, vector("", 2))),
      hello(extension(0, server_name(""))),
      hello(extension(0, server_name("a.test") + "x")),
      hello(extension(0, vector(std::string("\0\0\x09short", 8), 2))),
      hello(extension(0, server_name("a.test")) + extension(0, server_name("b.test"))),
      hello(extension(0, server_name("a.test")) + "\x01"),
  };
  for (const std::string& bytes : rows) {
    EXPECT_EQ(peek_client_hello(bytes).state, State::not_tls) << testing::PrintToString(bytes);
  }
}

TEST(ClientHelloTest, SizeIsLimited) {
  const auto padded = [](std::size_t padding) {
    const std::string whole = message(
        body(extension(0, server_name("a.test")) + extension(21, std::string(padding, '\0'))));
    return record(whole.substr(0, 8000)) + record(whole.substr(8000));
  };
  EXPECT_EQ(peek_client_hello(padded(16000)).server_name, "a.test");
  EXPECT_EQ(peek_client_hello(padded(17000)).state, State::not_tls);
  // Known from the length alone, long before that much has come.
  EXPECT_EQ(peek_client_hello(record(number(1, 1) + number(60000, 3))).state, State::not_tls);
  EXPECT_EQ(peek_client_hello(record(number(1, 1) + number(16000, 3))).state, State::incomplete);
  // Sixteen KiB of one-byte records hold too little; nobody waits for more.
  std::string tiny;
  const std::string whole = message(body(extension(21, std::string(8000, '\0'))));
  for (const char c : whole) tiny += record(std::string(1, c));
  EXPECT_EQ(peek_client_hello(std::string_view(tiny).substr(0, 16383)).state, State::incomplete);
  EXPECT_EQ(peek_client_hello(std::string_view(tiny).substr(0, 16384)).state, State::not_tls);
  EXPECT_EQ(peek_client_hello(tiny).state, State::not_tls);
}

TEST(ClientHelloTest, AnyBytesGetAnAnswerThatMoreBytesDoNotTakeBack) {
  std::mt19937 random(7);
  const std::string good = hello_for("api.test");
  for (int round = 0; round < 5000; ++round) {
    std::string bytes = good;
    for (unsigned changes = random() % 4; changes > 0; --changes) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    const std::size_t cut = random() % (bytes.size() + 1);
    const ClientHello early = peek_client_hello(std::string_view(bytes).substr(0, cut));
    const ClientHello late = peek_client_hello(bytes);
    if (early.state == State::incomplete) continue;
    EXPECT_EQ(early.state, late.state);
    EXPECT_EQ(early.server_name, late.server_name);
  }
}

}  // namespace
}  // namespace iron::tls
