#include "jpeg/inverse_dct.h"

#include "jpeg/codec.h"

// The beginning of what libjpeg declares in its private jpegint.h, the same in all its releases.
struct jpeg_inverse_dct {
  void (*start_pass)(j_decompress_ptr);
  void (*inverse_DCT[MAX_COMPONENTS])(j_decompress_ptr, jpeg_component_info*, JCOEFPTR, JSAMPARRAY, JDIMENSION);
};

namespace fastload::jpeg {

#if defined(__x86_64__)

void Transform::take_over(jpeg_decompress_struct* libjpeg) {
  if (simd_ == image::Simd::scalar || libjpeg->dct_method != JDCT_ISLOW || libjpeg->data_precision != 8) return;
  auto& methods = libjpeg->idct->inverse_DCT;
  libjpegs_ = methods[0];
  for (int i = 0; i < libjpeg->num_components; ++i) {
    if (methods[i] != libjpegs_) return;  // which of them is for other blocks is not known
  }
  for (int i = 0; i < libjpeg->num_components; ++i) methods[i] = transform;
}

void Transform::transform(j_decompress_ptr libjpeg, jpeg_component_info* component, JCOEFPTR coefficients, JSAMPARRAY rows,
                          JDIMENSION column) {
  if (inverse_dct_avx2(coefficients, component->quant_table->quantval, rows, column)) return;
  static_cast<Codec*>(libjpeg->client_data)->transform.libjpegs_(libjpeg, component, coefficients, rows, column);
}

#else

void Transform::take_over(jpeg_decompress_struct*) {}

#endif

}  // namespace fastload::jpeg
