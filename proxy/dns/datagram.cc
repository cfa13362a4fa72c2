#include "proxy/dns/datagram.h"

#include <cstring>

namespace iron::proxy::dns {
namespace {

constexpr std::size_t kControlBytes =
    CMSG_SPACE(sizeof(in6_pktinfo)) + CMSG_SPACE(sizeof(in_pktinfo));

union Control {
  cmsghdr align;
  std::array<char, kControlBytes> bytes;
};

void read_control(msghdr& message, ReturnPath& path) {
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
       part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level == IPPROTO_IP && part->cmsg_type == IP_PKTINFO) {
      in_pktinfo info{};
      std::memcpy(&info, CMSG_DATA(part), sizeof(info));
      path.family = AF_INET;
      path.local4 = info.ipi_spec_dst;
    } else if (part->cmsg_level == IPPROTO_IPV6 && part->cmsg_type == IPV6_PKTINFO) {
      in6_pktinfo info{};
      std::memcpy(&info, CMSG_DATA(part), sizeof(info));
      if (IN6_IS_ADDR_MULTICAST(&info.ipi6_addr)) continue;
      path.family = AF_INET6;
      path.local6 = info.ipi6_addr;
      path.interface = IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr) ? info.ipi6_ifindex : 0;
    }
  }
}

template <class Info>
void write_control(msghdr& message, int level, int type, const Info& info) {
  message.msg_controllen = CMSG_SPACE(sizeof(info));
  cmsghdr* part = CMSG_FIRSTHDR(&message);
  part->cmsg_level = level;
  part->cmsg_type = type;
  part->cmsg_len = CMSG_LEN(sizeof(info));
  std::memcpy(CMSG_DATA(part), &info, sizeof(info));
}

}  // namespace

void want_local_address(int descriptor) {
  const int on = 1;
  // One of the two does not fit the socket's family and fails; without either the route decides.
  ::setsockopt(descriptor, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on));
  ::setsockopt(descriptor, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on));
}

bool receive(int descriptor, Datagram& datagram) {
  datagram.path = {};
  iovec place{datagram.bytes.data(), datagram.bytes.size()};
  Control control{};
  msghdr message{};
  message.msg_name = &datagram.path.peer;
  message.msg_namelen = sizeof(datagram.path.peer);
  message.msg_iov = &place;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes.data();
  message.msg_controllen = control.bytes.size();
  const ssize_t size = ::recvmsg(descriptor, &message, MSG_DONTWAIT);
  if (size < 0) return false;
  datagram.size = static_cast<std::size_t>(size);
  datagram.path.peer_size = message.msg_namelen;
  read_control(message, datagram.path);
  return true;
}

bool reply(int descriptor, const ReturnPath& path, std::string_view bytes) {
  // sendmsg() reads only, but its structures are shared with recvmsg().
  iovec place{const_cast<char*>(bytes.data()), bytes.size()};
  Control control{};
  msghdr message{};
  message.msg_name = const_cast<sockaddr_storage*>(&path.peer);
  message.msg_namelen = path.peer_size;
  message.msg_iov = &place;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes.data();
  message.msg_controllen = control.bytes.size();
  if (path.family == AF_INET6) {
    in6_pktinfo info{};
    info.ipi6_addr = path.local6;
    info.ipi6_ifindex = path.interface;
    write_control(message, IPPROTO_IPV6, IPV6_PKTINFO, info);
  } else if (path.family == AF_INET) {
    in_pktinfo info{};
    info.ipi_spec_dst = path.local4;
    write_control(message, IPPROTO_IP, IP_PKTINFO, info);
  } else {
    message.msg_control = nullptr;
    message.msg_controllen = 0;
  }
  return ::sendmsg(descriptor, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

}  // namespace iron::proxy::dns
