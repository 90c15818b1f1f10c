#include "device/host.h"

#include <memory>

namespace fastload::device {

namespace {

class Image {
 public:
  Image(const Launch& launch, int number)
      : launch_(launch),
        work_(reinterpret_cast<const ImageWork*>(launch.block + launch.works)[number]),
        fault_(launch.faults[number]),
        out_(launch.out + int64_t{3} * launch.width * launch.height * number) {}

  void make() {
    fault_ = 0;
    if (work_.way == kElsewhere) return;
    for (const PassWork& pass : work_.pass) {
      for (int i = 0; pass.weights_of != kGiven && i < pass.outputs; ++i) make_weights(pass, i, launch_.scratch);
    }
    if (work_.way == kCodes) {
      read_codes();
    } else {
      for (int i = 0; i < work_.planes; ++i) {
        const PlaneWork& plane = work_.plane[i];
        for (int number = 0; number < plane.columns * plane.rows; ++number) {
          transform_stored(plane, launch_.block, launch_.scratch, number);
        }
      }
    }
    make_pixels();
  }

 private:
  void read_codes() {
    const CodesWork& codes = work_.codes;
    CodeLengths lengths;
    uint8_t symbols[kTables * 256];
    const int tables = tables_of(work_);
    for (int table = 0; table < tables; ++table) {
      const uint8_t* const given = table_of(work_, launch_.block, table);
      copy_symbols(given, 0, 1, symbols + 256 * table);
      make_lengths(given, table, &lengths);
    }
    CodeTables& made = *reinterpret_cast<CodeTables*>(launch_.scratch + codes.lookups);
    make_lookups(lengths, symbols, tables, 0, 1, &made);
    const auto shared = std::make_unique<CodesShared>();
    __builtin_memcpy(shared.get(), &made, kLookBytes);
    fill_shared(work_, launch_.block, 0, 1, shared.get());
    int16_t room[kRoom] = {};
    for (int row = 0; row < codes.bottom - codes.top; ++row) {
      for (int number = 0; number < intervals_of_row(codes); ++number) {
        fault_ |= read_interval(work_, *shared, launch_.block, launch_.scratch, row, number, room);
      }
    }
  }

  void make_pixels() {
    uint32_t* const between = reinterpret_cast<uint32_t*>(launch_.scratch + work_.between);
    const int columns = columns_of(work_.pass[0]);
    for (int y = 0; y < rows_of(work_.pass[0]); ++y) {
      for (int x = 0; x < columns; ++x) {
        between[static_cast<int64_t>(y) * columns + x] = first_pixel(work_, launch_.block, launch_.scratch, x, y);
      }
    }
    const SecondPass second(work_, launch_.block, launch_.scratch);
    for (int y = 0; y < launch_.height; ++y) {
      for (int x = 0; x < launch_.width; ++x) {
        second.put(second.pixel(x, y), x, y, launch_.width, launch_.height, out_);
      }
    }
  }

  const Launch& launch_;
  const ImageWork& work_;
  int32_t& fault_;
  uint8_t* const out_;
};

}  // namespace

void make_images(const Launch& launch) {
  for (int number = 0; number < launch.images; ++number) Image(launch, number).make();
}

}  // namespace fastload::device
