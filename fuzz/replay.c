/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a fuzz target over the files of the folders given, without libFuzzer: what once broke must
 * not break again. Part of every test run.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PATH_SIZE 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads a file whole into memory of exactly its size, so that a sanitizer sees its end. */
static uint8_t *read_file(const char *path, size_t *size)
{
    struct stat stat = {0};
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = NULL;

    if (file != NULL && fstat(fileno(file), &stat) == 0 && S_ISREG(stat.st_mode)) {
        *size = (size_t)stat.st_size;
        bytes = malloc(*size + (*size == 0));
        if (bytes != NULL && fread(bytes, 1, *size, file) != *size) {
            free(bytes);
            bytes = NULL;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return bytes;
}

static int replay_file(const char *folder, const char *name)
{
    char path[PATH_SIZE];
    size_t size = 0;
    uint8_t *bytes = NULL;

    if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, name) < sizeof path) {
        bytes = read_file(path, &size);
    }
    if (bytes == NULL) {
        (void)fprintf(stderr, "%s: cannot be read\n", path);
        return -1;
    }
    (void)LLVMFuzzerTestOneInput(bytes, size);
    free(bytes);
    return 0;
}

/* How many files were run, in the order of their names; -1 when one could not be. */
static int replay_folder(const char *folder)
{
    struct dirent **entries = NULL;
    int entries_count = scandir(folder, &entries, NULL, alphasort);
    int count = 0;

    if (entries_count < 0) {
        perror(folder);
        return -1;
    }
    for (int i = 0; i < entries_count; i++) {
        if (entries[i]->d_name[0] != '.' && count >= 0) {
            count = replay_file(folder, entries[i]->d_name) == 0 ? count + 1 : -1;
        }
        free(entries[i]);
    }
    free((void *)entries);
    return count;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        int count = replay_folder(argv[i]);

        if (count <= 0) {
            (void)fprintf(stderr, "%s: %s\n", argv[i], count == 0 ? "no files" : "failed");
            return 1;
        }
        (void)printf("%s: %d files\n", argv[i], count);
    }
    return argc > 1 ? 0 : 1;
}
