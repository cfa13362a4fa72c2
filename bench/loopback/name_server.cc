#include "bench/loopback/name_server.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstring>

namespace iron::bench {
namespace {

constexpr std::size_t kHeader = 12, kLargest = 512;
// A pointer to the question's name, type A, class IN, 300 seconds, 4 bytes: 127.0.0.1.
constexpr unsigned char kRecord[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 44, 0, 4, 127, 0, 0, 1};

}  // namespace

void answer_question(int descriptor) {
  unsigned char message[kLargest + sizeof kRecord];
  sockaddr_in from{};
  socklen_t length = sizeof from;
  const ssize_t received =
      ::recvfrom(descriptor, message, kLargest, 0, reinterpret_cast<sockaddr*>(&from), &length);
  if (received <= static_cast<ssize_t>(kHeader)) return;
  const auto size = static_cast<std::size_t>(received);
  std::size_t at = kHeader;
  while (at < size && message[at] != 0) at += message[at] + 1u;
  if (at + 5 > size) return;
  const bool wants_address = message[at + 1] == 0 && message[at + 2] == 1;
  std::size_t end = at + 5;
  message[2] = static_cast<unsigned char>(0x84 | (message[2] & 1));  // an answer, with authority
  message[3] = 0x80;
  message[6] = 0;
  message[7] = wants_address ? 1 : 0;
  std::memset(message + 8, 0, 4);  // no other sections, the question's EDNS record neither
  if (wants_address) {
    std::memcpy(message + end, kRecord, sizeof kRecord);
    end += sizeof kRecord;
  }
  ::sendto(descriptor, message, end, 0, reinterpret_cast<const sockaddr*>(&from), length);
}

}  // namespace iron::bench
