/* Instead of libFuzzer: runs a target on each file of its corpus, so that every build does. */
#include <base/check.h>

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { PATH = 1024, FILE_MAX = 1 << 20 };

/* In memory of exactly its size, so that a byte too far is seen. */
static void run_file(const char *path)
{
    static uint8_t bytes[FILE_MAX];
    FILE *f = fopen(path, "rb");
    CHECK(f);
    size_t len = fread(bytes, 1, sizeof(bytes), f);
    CHECK(len < sizeof(bytes) && fclose(f) == 0);
    uint8_t *data = malloc(len > 0 ? len : 1);
    CHECK(data);
    for (size_t i = 0; i < len; i++) {
        data[i] = bytes[i];
    }
    printf("%s\n", path);
    (void)fflush(stdout);
    (void)LLVMFuzzerTestOneInput(data, len);
    free(data);
}

int main(void)
{
    char path[PATH];
    const struct dirent *entry;
    unsigned count = 0;
    DIR *folder = opendir(FUZZ_CORPUS);
    CHECK(folder);
    while ((entry = readdir(folder))) {
        if (entry->d_name[0] != '.') {
            CHECK(snprintf(path, sizeof(path), "%s/%s", FUZZ_CORPUS, entry->d_name) < PATH);
            run_file(path);
            count++;
        }
    }
    CHECK(closedir(folder) == 0 && count > 0);
    return 0;
}
