#include "jpeg/codec.h"

#include <jerror.h>

#include "jpeg/decode.h"

namespace fastload::jpeg {

namespace {

Codec& codec_of(void* client_data) { return *static_cast<Codec*>(client_data); }

// What this build of libjpeg cannot read is no damage.
Code code_of(int error) {
  switch (error) {
    case JERR_BAD_PRECISION:
    case JERR_COMPONENT_COUNT:
    case JERR_CONVERSION_NOTIMPL:
    case JERR_FRACT_SAMPLE_NOTIMPL:
    case JERR_NOT_COMPILED:
    case JERR_OUT_OF_MEMORY:
    case JERR_SOF_UNSUPPORTED: return Code::not_native;
    default: return Code::damaged;
  }
}

#define AS_TEXT(what) #what
#define VALUE_AS_TEXT(macro) AS_TEXT(macro)

}  // namespace

const char* libjpeg_version() { return VALUE_AS_TEXT(LIBJPEG_TURBO_VERSION); }

Codec::Codec() {
  libjpeg.err = jpeg_std_error(&errors_);
  errors_.error_exit = on_error;
  errors_.emit_message = on_message;
  errors_.output_message = [](j_common_ptr) {};
  source_.init_source = [](j_decompress_ptr) {};
  source_.fill_input_buffer = on_end_of_bytes;
  source_.skip_input_data = on_skip;
  source_.resync_to_restart = jpeg_resync_to_restart;
  source_.term_source = [](j_decompress_ptr) {};
  progress_.progress_monitor = on_progress;
}

Codec::~Codec() { close(); }

void Codec::open(ByteSpan bytes, Markers markers) {
  libjpeg.client_data = this;
  jpeg_create_decompress(&libjpeg);  // keeps client_data and err
  is_open_ = true;
  source_.next_input_byte = bytes.data;
  source_.bytes_in_buffer = bytes.size;
  libjpeg.src = &source_;
  if (markers == Markers::kept) {
    constexpr unsigned kWhole = 0xFFFF;
    jpeg_save_markers(&libjpeg, JPEG_COM, kWhole);
    for (int application = 0; application < 16; ++application) jpeg_save_markers(&libjpeg, JPEG_APP0 + application, kWhole);
  }
  jpeg_read_header(&libjpeg, TRUE);
  if (jpeg_has_multiple_scans(&libjpeg)) libjpeg.progress = &progress_;
}

void Codec::close() {
  if (is_open_) jpeg_destroy_decompress(&libjpeg);
  is_open_ = false;
}

void Codec::give_up(Code code, const char* message) {
  status = {code, message};
  std::longjmp(failure, 1);
}

void Codec::on_error(j_common_ptr libjpeg) {
  Codec& codec = codec_of(libjpeg->client_data);
  libjpeg->err->format_message(libjpeg, codec.text_);
  codec.give_up(code_of(libjpeg->err->msg_code), codec.text_);
}

void Codec::on_message(j_common_ptr libjpeg, int level) {
  if (level >= 0) return;  // no warning, but a remark for debugging
  Codec& codec = codec_of(libjpeg->client_data);
  libjpeg->err->format_message(libjpeg, codec.text_);
  codec.give_up(Code::not_native, codec.text_);
}

void Codec::on_progress(j_common_ptr libjpeg) {
  if (reinterpret_cast<j_decompress_ptr>(libjpeg)->input_scan_number > kMaxScans) {
    codec_of(libjpeg->client_data).give_up(Code::not_native, "more scans than any picture needs");
  }
}

boolean Codec::on_end_of_bytes(j_decompress_ptr libjpeg) {
  codec_of(libjpeg->client_data).give_up(Code::damaged, "the file ends before the image does");
}

void Codec::on_skip(j_decompress_ptr libjpeg, long count) {
  if (count <= 0) return;
  jpeg_source_mgr& source = *libjpeg->src;
  if (static_cast<size_t>(count) > source.bytes_in_buffer) on_end_of_bytes(libjpeg);
  source.next_input_byte += count;
  source.bytes_in_buffer -= static_cast<size_t>(count);
}

}  // namespace fastload::jpeg
