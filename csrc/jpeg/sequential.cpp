#include "jpeg/sequential.h"

#include <cstring>
#include <memory>

#include "jpeg/codec.h"

namespace fastload::jpeg {

namespace {

// On the heap, and owned by who set the jump: see Note [libjpeg errors].
struct Transcoding {
  Codec from;
  jpeg_compress_struct to = {};
  jpeg_destination_mgr place = {};
  bool is_open = false;
  Written written;

  ~Transcoding() {
    if (is_open) jpeg_destroy_compress(&to);
  }
};

boolean on_full(j_compress_ptr libjpeg) {
  static_cast<Codec*>(libjpeg->client_data)->give_up(Code::not_native, "the image would have more bytes than there is room for");
}

void open_output(Transcoding& job, uint8_t* to, size_t capacity) {
  job.to.err = job.from.libjpeg.err;
  job.to.client_data = &job.from;
  jpeg_create_compress(&job.to);
  job.is_open = true;
  job.place.next_output_byte = to;
  job.place.free_in_buffer = capacity;
  job.place.init_destination = [](j_compress_ptr) {};
  job.place.empty_output_buffer = on_full;
  job.place.term_destination = [](j_compress_ptr) {};
  job.to.dest = &job.place;
}

bool begins(const jpeg_saved_marker_ptr marker, int code, const char* text, size_t size) {
  return marker->marker == code && marker->data_length >= size && std::memcmp(marker->data, text, size) == 0;
}

// Those that libjpeg does not write by itself.
void copy_markers(Transcoding& job) {
  for (jpeg_saved_marker_ptr marker = job.from.libjpeg.marker_list; marker != nullptr; marker = marker->next) {
    if (job.to.write_JFIF_header && begins(marker, JPEG_APP0, "JFIF", 5)) continue;
    if (job.to.write_Adobe_marker && begins(marker, JPEG_APP0 + 14, "Adobe", 5)) continue;
    jpeg_write_marker(&job.to, marker->marker, marker->data, marker->data_length);
  }
}

void transcode(Transcoding& job, ByteSpan bytes, int64_t max_pixels, uint8_t* to, size_t capacity) {
  jpeg_decompress_struct& source = job.from.libjpeg;
  job.from.open(bytes, Markers::kept);
  if (max_pixels > 0 && int64_t{source.image_width} * source.image_height > max_pixels) {
    job.from.give_up(Code::not_native, "more pixels than are allowed");
  }
  job.written.was_sequential = !jpeg_has_multiple_scans(&source) && !source.arith_code;
  jvirt_barray_ptr* const coefficients = jpeg_read_coefficients(&source);
  open_output(job, to, capacity);
  jpeg_copy_critical_parameters(&source, &job.to);
  job.to.optimize_coding = TRUE;
  jpeg_write_coefficients(&job.to, coefficients);
  copy_markers(job);
  jpeg_finish_compress(&job.to);
  if (source.src->bytes_in_buffer > 0) job.from.give_up(Code::not_native, "bytes behind the image");
  job.written.size = capacity - job.place.free_in_buffer;
}

Code tried(Transcoding& job, ByteSpan bytes, int64_t max_pixels, uint8_t* to, size_t capacity) {
  if (setjmp(job.from.failure) != 0) return job.from.status.code;
  transcode(job, bytes, max_pixels, to, capacity);
  return Code::ok;
}

}  // namespace

Written write_sequential(ByteSpan bytes, int64_t max_pixels, uint8_t* to, size_t capacity) {
  const auto job = std::make_unique<Transcoding>();
  job->written.code = tried(*job, bytes, max_pixels, to, capacity);
  return job->written;
}

}  // namespace fastload::jpeg
