// The LZ4 library's block functions (https://github.com/lz4/lz4, 1.9 or later).
#pragma once
#include <features.h>
#include <lz4.h>
#include <lz4hc.h>

#if LZ4_VERSION_NUMBER < 10900
#error "liblz4 1.9 or later is needed"
#endif
