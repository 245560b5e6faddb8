#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "include/system.h"

int penstock_open(const char *path, int flags) {
  int f = O_CLOEXEC | ((flags & PENSTOCK_WRITE) ? O_RDWR : O_RDONLY);
  if (flags & PENSTOCK_CREATE) f |= O_CREAT | O_EXCL;
  if (flags & PENSTOCK_CREATE_ANY) f |= O_CREAT;
  if (flags & PENSTOCK_DIRECT) f |= O_DIRECT;
  int d;
  do d = open(path, f, 0644);
  while (d < 0 && errno == EINTR);
  return d < 0 ? -errno : d;
}

int penstock_real_path(const char *path, void *out, size_t size) {
  char *found = realpath(path, NULL);
  if (!found) return -errno;
  size_t count = strlen(found);
  if (count <= size) memcpy(out, found, count);
  free(found);
  return count <= size ? (int)count : -ENAMETOOLONG;
}

int penstock_close(int descriptor) { return close(descriptor) < 0 ? -errno : 0; }

int64_t penstock_file_size(int descriptor) {
  struct stat s;
  return fstat(descriptor, &s) < 0 ? -errno : s.st_size;
}

int64_t penstock_read_at(int descriptor, void *bytes, size_t count, int64_t offset) {
  size_t done = 0;
  while (done < count) {
    ssize_t n = pread(descriptor, (char *)bytes + done, count - done, offset + (int64_t)done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -errno;
    if (n == 0) break;
    done += (size_t)n;
    // A direct read that ends off a block boundary has met the end of the file.
    if (done % 512 != 0 && done < count && (fcntl(descriptor, F_GETFL) & O_DIRECT)) break;
  }
  return (int64_t)done;
}

int penstock_write_at(int descriptor, const void *bytes, size_t count, int64_t offset) {
  size_t done = 0;
  while (done < count) {
    ssize_t n =
        pwrite(descriptor, (const char *)bytes + done, count - done, offset + (int64_t)done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -errno;
    if (n == 0) return -EIO;
    done += (size_t)n;
  }
  return 0;
}

int penstock_sync_data(int descriptor) { return fdatasync(descriptor) < 0 ? -errno : 0; }
int penstock_sync_file(int descriptor) { return fsync(descriptor) < 0 ? -errno : 0; }

int penstock_sync_directory(const char *path) {
  int d = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (d < 0) return -errno;
  int result = fsync(d) < 0 ? -errno : 0;
  close(d);
  return result;
}

int penstock_allocate(int descriptor, int64_t byte_count) {
  int result;
  do result = fallocate(descriptor, 0, 0, byte_count);
  while (result < 0 && errno == EINTR);
  return result < 0 ? -errno : 0;
}

int penstock_truncate(int descriptor, int64_t byte_count) {
  return ftruncate(descriptor, byte_count) < 0 ? -errno : 0;
}
int penstock_make_directory(const char *path) { return mkdir(path, 0755) < 0 ? -errno : 0; }
int penstock_rename(const char *from, const char *to) { return rename(from, to) < 0 ? -errno : 0; }
int penstock_unlink(const char *path) { return unlink(path) < 0 ? -errno : 0; }
int penstock_link(const char *from, const char *to) { return link(from, to) < 0 ? -errno : 0; }

int penstock_file_identity(const char *path, uint64_t *device, uint64_t *inode) {
  struct stat s;
  if (stat(path, &s) < 0) return -errno;
  *device = (uint64_t)s.st_dev;
  *inode = (uint64_t)s.st_ino;
  return 0;
}

int penstock_lock(int descriptor, int timeout_ms) {
  for (;;) {
    if (flock(descriptor, LOCK_EX | LOCK_NB) == 0) return 0;
    if (errno != EWOULDBLOCK && errno != EINTR) return -errno;
    if (timeout_ms-- <= 0) return -EWOULDBLOCK;
    penstock_sleep(1000000);
  }
}

bool penstock_is_locked(int descriptor) {
  if (flock(descriptor, LOCK_SH | LOCK_NB) < 0) return errno == EWOULDBLOCK;
  flock(descriptor, LOCK_UN);
  return false;
}

int64_t penstock_free_bytes(const char *path) {
  struct statvfs s;
  return statvfs(path, &s) < 0 ? -errno : (int64_t)s.f_bavail * (int64_t)s.f_frsize;
}

int64_t penstock_total_bytes(const char *path) {
  struct statvfs s;
  return statvfs(path, &s) < 0 ? -errno : (int64_t)s.f_blocks * (int64_t)s.f_frsize;
}

// The layout of statx(2) as of Linux 6.1, which the C library's own struct may lack.
struct statx_result {
  uint32_t mask, blksize;
  uint64_t attributes;
  uint32_t nlink, uid, gid;
  uint16_t mode, pad;
  uint64_t ino, size, blocks, attributes_mask;
  uint64_t times[8];
  uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
  uint64_t mnt_id;
  uint32_t dio_mem_align, dio_offset_align;
  uint64_t spare[12];
};
enum { STATX_DIRECT_ALIGNMENT = 0x2000 };

static int physical_block(unsigned major, unsigned minor) {
  // A partition has no queue of its own; its parent does.
  const char *names[] = {"/sys/dev/block/%u:%u/queue/physical_block_size",
                         "/sys/dev/block/%u:%u/../queue/physical_block_size"};
  for (int i = 0; i < 2; i++) {
    char path[128];
    snprintf(path, sizeof path, names[i], major, minor);
    FILE *f = fopen(path, "re");
    if (!f) continue;
    int size = 0;
    if (fscanf(f, "%d", &size) != 1) size = 0;
    fclose(f);
    if (size > 0) return size;
  }
  return 0;
}

int penstock_direct_alignment(int descriptor) {
  // Copy-on-write and layered file systems turn direct writes into something else.
  enum { BTRFS = 0x9123683e, ZFS = 0x2fc12fc1, OVERLAY = 0x794c7630, TMPFS = 0x01021994 };
  struct statfs fs;
  if (fstatfs(descriptor, &fs) < 0) return 0;
  uint32_t type = (uint32_t)fs.f_type;
  if (type == BTRFS || type == ZFS || type == OVERLAY || type == TMPFS) return 0;
  struct statx_result s;
  memset(&s, 0, sizeof s);
  if (syscall(SYS_statx, descriptor, "", AT_EMPTY_PATH, STATX_DIRECT_ALIGNMENT, &s) < 0) return 0;
  uint32_t align = 512;
  if (s.mask & STATX_DIRECT_ALIGNMENT) {
    if (s.dio_offset_align == 0) return 0;
    if (s.dio_offset_align > align) align = s.dio_offset_align;
    if (s.dio_mem_align > align) align = s.dio_mem_align;
  }
  int block = physical_block(s.dev_major, s.dev_minor);
  if (block > (int)align) align = (uint32_t)block;
  return (int)align;
}

void penstock_begin_write_back(int descriptor, int64_t offset, int64_t count) {
  sync_file_range(descriptor, offset, count, SYNC_FILE_RANGE_WRITE);
}

int penstock_drop_cache(int descriptor) {
  return -posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED);
}

int penstock_list(const char *path, void (*visit)(void *context, const char *name), void *context) {
  DIR *folder = opendir(path);
  if (!folder) return -errno;
  for (;;) {
    errno = 0;
    struct dirent *entry = readdir(folder);
    if (!entry) break;
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    visit(context, entry->d_name);
  }
  int result = -errno;
  closedir(folder);
  return result;
}

int penstock_remove_folder(const char *path) { return rmdir(path) < 0 ? -errno : 0; }

void *penstock_map_memory(size_t byte_count, bool in_huge_pages) {
  void *m = mmap(NULL, byte_count, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (m == MAP_FAILED) return NULL;
  if (in_huge_pages) madvise(m, byte_count, MADV_HUGEPAGE);
  return m;
}

void penstock_unmap(void *memory, size_t byte_count) { munmap(memory, byte_count); }

void *penstock_map_file(int descriptor, size_t byte_count, bool writable) {
  void *m = mmap(NULL, byte_count, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED,
                 descriptor, 0);
  return m == MAP_FAILED ? NULL : m;
}

int64_t penstock_realtime_seconds(uint32_t *nanoseconds) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  *nanoseconds = (uint32_t)t.tv_nsec;
  return t.tv_sec;
}

int64_t penstock_monotonic_nanoseconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int penstock_random(void *bytes, size_t count) {
  char *p = bytes;
  while (count > 0) {
    ssize_t n = getrandom(p, count, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -errno;
    p += n;
    count -= (size_t)n;
  }
  return 0;
}

void penstock_sleep(int64_t nanoseconds) {
  struct timespec t = {nanoseconds / 1000000000, nanoseconds % 1000000000};
  while (nanosleep(&t, &t) < 0 && errno == EINTR) {
  }
}
