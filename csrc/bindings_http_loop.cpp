#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <utility>
#include <vector>

#include "bindings.h"
#include "bindings_http.h"
#include "bindings_lock.h"
#include "io/http_loop.h"

namespace fastload::bindings {

namespace py = pybind11;

namespace {

// One that has ended: a whole body of just what was asked for, in the way that almost all answers are; or else its head, for others to
// read.
struct HttpEnded {
  uint64_t number = 0;
  io::HttpAnswer answer;
  py::object body = py::none();
  bool is_plain = false;
  int64_t size = -1;  // of the object, as far as it is told
  std::string_view version;

  bool closes() const {
    std::string_view said = io::http_header(answer.head, "connection");
    const bool is_old = answer.head.substr(0, 8) == "HTTP/1.0";
    return is_old || !answer.rest.empty() || said.find("lose") != std::string_view::npos ||
           said.find("LOSE") != std::string_view::npos;
  }
};

bool read_number(std::string_view* text, int64_t* number) {
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), *number);
  if (error != std::errc() || *number < 0) return false;
  text->remove_prefix(static_cast<size_t>(end - text->data()));
  return true;
}

bool skip(std::string_view* text, std::string_view what) {
  if (text->substr(0, what.size()) != what) return false;
  text->remove_prefix(what.size());
  return true;
}

// Of "bytes 5-24/99", or * in the place of the size.
bool read_range(std::string_view said, int64_t* first, int64_t* last, int64_t* size) {
  if (!skip(&said, "bytes ") || !read_number(&said, first) || !skip(&said, "-") || !read_number(&said, last)) return false;
  if (!skip(&said, "/")) return false;
  *size = -1;
  return said == "*" || (read_number(&said, size) && said.empty());
}

void judge(int64_t first, int64_t length, HttpEnded* ended) {
  const io::HttpAnswer& answer = ended->answer;
  if (answer.end != io::HttpAnswer::End::done || !answer.has_body) return;
  const std::string_view head = answer.head;
  const std::string_view packed = io::http_header(head, "content-encoding");
  if (!packed.empty() && packed != "identity") return;
  ended->version = io::http_header(head, "etag");
  if (ended->version.empty()) ended->version = io::http_header(head, "last-modified");
  if (head.substr(8, 5) == " 200 ") {
    ended->size = answer.size;
    ended->is_plain = true;
    return;
  }
  int64_t from = 0;
  int64_t last = 0;
  if (!read_range(io::http_header(head, "content-range"), &from, &last, &ended->size)) return;
  const int64_t wanted = length >= 0 ? length : ended->size - first;
  ended->is_plain = from == first && last == from + answer.size - 1 && answer.size == wanted;
}

class PyHttpLoop {
 public:
  explicit PyHttpLoop(double patience_s)
      : loop_(std::chrono::milliseconds(static_cast<int64_t>(patience_s * 1000))) {}

  void begin(uint64_t number, int fd, const py::bytes& request, int64_t first, int64_t length) {
    Asked& asked = asked_[number];
    asked = {first, length, std::make_unique<HttpBody>(body_pool())};
    HttpBody* const body = asked.body.get();
    loop_.begin(number, std::make_unique<io::HttpConversation>(
                            fd, std::string(static_cast<std::string_view>(request)), first == 0 && length < 0,
                            [body](int64_t size) { return body->allocate(size); }));
  }

  py::list run() {
    io::HttpLoop::Ended ended = unlocked([&] { return loop_.run(); });
    py::list list;
    for (auto& [number, answer] : ended) {
      auto one = std::make_unique<HttpEnded>();
      const auto found = asked_.find(number);
      one->number = number;
      one->answer = std::move(answer);
      judge(found->second.first, found->second.length, one.get());
      if (one->answer.has_body) one->body = py::cast(std::move(found->second.body));
      asked_.erase(found);
      list.append(std::move(one));
    }
    return list;
  }

  void wake() { loop_.wake(); }

 private:
  struct Asked {
    int64_t first;
    int64_t length;
    std::unique_ptr<HttpBody> body;
  };

  io::HttpLoop loop_;
  std::unordered_map<uint64_t, Asked> asked_;
};

}  // namespace

void bind_http_loop(py::module_& module) {
  py::class_<HttpEnded>(module, "HttpEnded", "What came of a request.")
      .def_readonly("number", &HttpEnded::number)
      .def_property_readonly("why", [](const HttpEnded& ended) { return why_not(ended.answer); }, "What went wrong; or empty.")
      .def_property_readonly("error", [](const HttpEnded& ended) { return ended.answer.error; }, "The system's, where it broke.")
      .def_readonly("is_plain", &HttpEnded::is_plain, "All of the bytes that were asked for have come, and nothing else.")
      .def_readonly("body", &HttpEnded::body, "None: it was not read.")
      .def_readonly("size", &HttpEnded::size, "Of the whole object; -1: not told.")
      .def_property_readonly("version", [](const HttpEnded& ended) { return latin(ended.version); },
                             "The ETag, or when it was changed, or empty.")
      .def_property_readonly("closes", &HttpEnded::closes, "Nothing more can be asked on this connection.")
      .def_property_readonly("head", [](const HttpEnded& ended) { return head_of(ended.answer.head); },
                             "(the first line, headers by names in small letters)");
  py::class_<PyHttpLoop>(module, "HttpLoop", "Requests on many connections at once, on the thread that runs it.")
      .def(py::init([](double patience_s) {
             try {
               return std::make_unique<PyHttpLoop>(patience_s);
             } catch (const std::system_error& error) {
               errno = error.code().value();
               PyErr_SetFromErrno(PyExc_OSError);
               throw py::error_already_set();
             }
           }),
           py::arg("patience_s"), "OSError where the system has no more descriptors.")
      .def("begin", &PyHttpLoop::begin, py::arg("number"), py::arg("fd"), py::arg("request"), py::arg("first"), py::arg("length"),
           "For bytes [first, first + length), -1: all from there on. The socket is nobody else's until it has ended.")
      .def("run", &PyHttpLoop::run, "Until some have ended, or somebody wakes it: [HttpEnded].")
      .def("wake", &PyHttpLoop::wake, "From any thread.");
}

}  // namespace fastload::bindings
