#include <pybind11/pybind11.h>

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "bindings.h"
#include "bindings_http.h"
#include "bindings_lock.h"

namespace fastload::bindings {

namespace py = pybind11;

namespace {

std::string_view stripped(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n\f\v";
  const size_t first = text.find_first_not_of(kSpace);
  return first == std::string_view::npos ? text.substr(0, 0)
                                         : text.substr(first, text.find_last_not_of(kSpace) + 1 - first);
}

}  // namespace

// With Python's lock. A parent's is left as it was when this process was forked: a thread may have been at work on it that is not here.
const BodyPool& body_pool() {
  static const BodyPool* made = nullptr;
  static pid_t owner = 0;
  if (owner != getpid()) {
    made = new BodyPool(std::make_shared<engine::BytePool>());
    owner = getpid();
  }
  return *made;
}

py::str latin(std::string_view text) {
  return py::reinterpret_steal<py::str>(
      PyUnicode_DecodeLatin1(text.data(), static_cast<py::ssize_t>(text.size()), nullptr));
}

py::tuple head_of(std::string_view head) {
  size_t end = head.find("\r\n");
  const py::str first = latin(head.substr(0, end));
  py::dict headers;
  std::string name;
  while (end != std::string_view::npos) {
    head.remove_prefix(end + 2);
    end = head.find("\r\n");
    const std::string_view line = head.substr(0, end);
    const size_t colon = std::min(line.find(':'), line.size());
    name.assign(line.substr(0, colon));
    for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    const py::str value = latin(stripped(line.substr(std::min(colon + 1, line.size()))));
    const py::str key = latin(name);
    if (!headers.contains(key)) headers[key] = value;
    else if (name == "content-length" || name == "transfer-encoding") headers[key] = py::str("{}, {}").format(headers[key], value);
  }
  return py::make_tuple(first, headers);
}

std::string why_not(const io::HttpAnswer& answer) {
  using End = io::HttpAnswer::End;
  switch (answer.end) {
    case End::done: break;
    case End::broken: return "the connection broke: " + std::generic_category().message(answer.error);
    case End::not_silent: return "the connection was closed, or said what it was not asked";
    case End::closed: return "the connection was closed before an answer";
    case End::cut_head: return "the answer was cut in its head";
    case End::long_head: return "the answer's head is too long";
    case End::cut_body:
      return "the connection was closed after " + std::to_string(answer.received) + " of " +
             std::to_string(answer.size) + " bytes";
  }
  return {};
}

namespace {

py::tuple exchange(int fd, const py::bytes& request, bool is_whole) {
  std::string text(static_cast<std::string_view>(request));
  auto body = std::make_unique<HttpBody>(body_pool());
  const io::HttpAnswer answer = unlocked([&] {
    return io::http_exchange(fd, std::move(text), is_whole, [&](int64_t size) { return body->allocate(size); });
  });
  if (answer.end == io::HttpAnswer::End::broken) {
    errno = answer.error;
    PyErr_SetFromErrno(PyExc_OSError);
    throw py::error_already_set();
  }
  py::object read = py::none();
  if (answer.has_body) read = py::cast(std::move(body));
  return py::make_tuple(why_not(answer), head_of(answer.head), py::bytes(answer.rest), read);
}

}  // namespace

void bind_http(py::module_& module) {
  py::class_<HttpBody>(module, "HttpBody", py::buffer_protocol(), "Bytes that came, in memory that is used again.")
      .def_buffer([](HttpBody& body) {
        return py::buffer_info(body.data(), 1, "B", 1, {static_cast<py::ssize_t>(body.size())}, {py::ssize_t{1}}, true);
      })
      .def("__len__", &HttpBody::size);
  module.def("http_exchange", &exchange, py::arg("fd"), py::arg("request"), py::arg("is_whole"),
             "(what went wrong or nothing, (the first line, headers by names in small letters), what came behind the head, body or "
             "None). OSError.");
  module.def(
      "http_head", [](const py::bytes& head) { return head_of(static_cast<std::string_view>(head)); }, py::arg("head"),
      "The first line, and the headers by names in small letters.");
}

}  // namespace fastload::bindings
