// jpeg_writer.cpp: writes the JPEGs that Pillow cannot: any sampling, arithmetic coding, separate scans, YCCK.
//
//   jpeg_writer width height space quality sampling [progressive] [arithmetic] [separate] [partial] [restart=N]
//
// takes raw bytes on standard input and gives the JPEG on standard output.
// `space` is what the file stores: gray, ycc, rgb, cmyk or ycck; raw bytes are gray, RGB or CMYK. `sampling` is HxV for
// each component, as in 2x2,1x1,1x1. `separate` gives every component a scan of its own; `partial` leaves out the
// progressive scans that refine.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

// clang-format off: jpeglib.h uses FILE and size_t without including them, so it comes last
#include <jpeglib.h>
// clang-format on

int main(int argc, char** argv) {
  if (argc < 6) return 2;
  jpeg_compress_struct codec;
  jpeg_error_mgr errors;
  codec.err = jpeg_std_error(&errors);
  jpeg_create_compress(&codec);
  jpeg_stdio_dest(&codec, stdout);
  codec.image_width = static_cast<JDIMENSION>(std::atoi(argv[1]));
  codec.image_height = static_cast<JDIMENSION>(std::atoi(argv[2]));
  const std::string space = argv[3];
  const bool gray = space == "gray", four = space == "cmyk" || space == "ycck";
  codec.in_color_space = gray ? JCS_GRAYSCALE : four ? JCS_CMYK : JCS_RGB;
  codec.input_components = gray ? 1 : four ? 4 : 3;
  jpeg_set_defaults(&codec);
  if (space == "rgb") jpeg_set_colorspace(&codec, JCS_RGB);
  if (space == "ycck") jpeg_set_colorspace(&codec, JCS_YCCK);
  jpeg_set_quality(&codec, std::atoi(argv[4]), TRUE);
  const char* factors = argv[5];
  for (int i = 0; i < codec.num_components; ++i, factors += 4) {
    codec.comp_info[i].h_samp_factor = factors[0] - '0';
    codec.comp_info[i].v_samp_factor = factors[2] - '0';
  }
  std::vector<jpeg_scan_info> scans;
  for (int i = 6; i < argc; ++i) {
    const std::string option = argv[i];
    if (option == "progressive") jpeg_simple_progression(&codec);
    if (option == "partial") codec.num_scans = codec.num_components + 1;
    if (option == "arithmetic") codec.arith_code = TRUE;
    if (option.rfind("restart=", 0) == 0) codec.restart_interval = static_cast<unsigned>(std::atoi(option.c_str() + 8));
    if (option == "separate") {
      for (int c = 0; c < codec.num_components; ++c) scans.push_back({1, {c, 0, 0, 0}, 0, 63, 0, 0});
      codec.scan_info = scans.data();
      codec.num_scans = static_cast<int>(scans.size());
    }
  }
  jpeg_start_compress(&codec, TRUE);
  std::vector<JSAMPLE> row(static_cast<size_t>(codec.image_width) * static_cast<size_t>(codec.input_components));
  while (codec.next_scanline < codec.image_height) {
    if (std::fread(row.data(), 1, row.size(), stdin) != row.size()) return 3;
    JSAMPROW rows[1] = {row.data()};
    jpeg_write_scanlines(&codec, rows, 1);
  }
  jpeg_finish_compress(&codec);
  jpeg_destroy_compress(&codec);
  return 0;
}
