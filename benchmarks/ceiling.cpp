// ceiling.cpp: decoding alone, as a bare loop: what no loader around this libjpeg can beat.
//
// Reads from standard input lines "x y width height path", loads every file into memory, then for each pass decodes every file on
// N threads: the window only (crop, one skip, stop at its last row), or the whole image. Prints one line a pass: images a second.
// Usage: ceiling THREADS PASSES window|full < windows.txt
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

// clang-format off: jpeglib.h uses FILE and size_t without including them, so it comes last
#include <jpeglib.h>
// clang-format on

namespace {

struct Item {
  JDIMENSION x, y, width, height;
  std::string bytes;
};

void decode(const Item& item, bool whole, std::vector<unsigned char>* pixels) {
  jpeg_decompress_struct libjpeg;
  jpeg_error_mgr errors;
  libjpeg.err = jpeg_std_error(&errors);
  jpeg_create_decompress(&libjpeg);
  jpeg_mem_src(&libjpeg, reinterpret_cast<unsigned char*>(const_cast<char*>(item.bytes.data())), item.bytes.size());
  jpeg_read_header(&libjpeg, TRUE);
  libjpeg.out_color_space = JCS_EXT_RGBX;
  jpeg_start_decompress(&libjpeg);
  JDIMENSION bottom = libjpeg.output_height;
  if (!whole) {
    bottom = item.y + item.height;
    // One more column each side: the borders of a window are upsampled as if they were the image's.
    const JDIMENSION right = std::min(libjpeg.output_width, item.x + item.width + 1);
    JDIMENSION x = item.x > 0 ? item.x - 1 : 0;
    if (right - x < 16) x = right > 16 ? right - 16 : 0;
    JDIMENSION width = right - x;
    jpeg_crop_scanline(&libjpeg, &x, &width);
    if (item.y > 0) jpeg_skip_scanlines(&libjpeg, item.y);
  }
  const size_t stride = 4 * static_cast<size_t>(libjpeg.output_width);
  pixels->resize(stride * (libjpeg.output_height + 1));
  while (libjpeg.output_scanline < bottom) {
    JSAMPROW row = pixels->data() + stride * libjpeg.output_scanline;
    jpeg_read_scanlines(&libjpeg, &row, 1);
  }
  jpeg_destroy_decompress(&libjpeg);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: ceiling THREADS PASSES window|full < windows.txt\n");
    return 2;
  }
  const bool whole = std::strcmp(argv[3], "full") == 0;
  std::vector<Item> items;
  Item item;
  std::string path;
  while (std::cin >> item.x >> item.y >> item.width >> item.height && std::getline(std::cin >> std::ws, path)) {
    std::ifstream file(path, std::ios::binary);
    item.bytes.assign(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    items.push_back(item);
  }
  for (int pass = 0; pass < std::atoi(argv[2]); ++pass) {
    std::atomic<size_t> next{0};
    const auto begin = std::chrono::steady_clock::now();
    std::vector<std::thread> threads;
    for (int t = 0; t < std::atoi(argv[1]); ++t) {
      threads.emplace_back([&] {
        std::vector<unsigned char> pixels;
        for (size_t i = next++; i < items.size(); i = next++) decode(items[i], whole, &pixels);
      });
    }
    for (std::thread& thread : threads) thread.join();
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    std::printf("%.1f\n", static_cast<double>(items.size()) / seconds.count());
  }
  return 0;
}
