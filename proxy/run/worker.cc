#include "proxy/run/worker.h"

#include "policy/task.h"

namespace iron::proxy {

void Worker::run() {
  Log& log = site_.log();
  // Thread-local objects are registered now: the C library aborts when it has no memory for that
  // later.
  detail::release_frame(detail::allocate_frame(1), 1);
  log.prepare_thread(&site_.recorder().batch().lines());
  site_.loop().run([&log] { log.session_failed(std::current_exception()); });
  site_.recorder().batch().close();
  log.prepare_thread();
}

void Worker::stop() {
  site_.pool().clear();
  site_.loop().stop();
}

}  // namespace iron::proxy
