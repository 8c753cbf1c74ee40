/* replay_main.c: feeds every file of the folders named on the command line to a fuzzer's entry point, so that
 * a corpus is an ordinary test with any compiler. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A copy of just the size, so that a tool that checks memory sees a read past its end. */
static int replay(struct buffer *input)
{
    uint8_t *exact = malloc(input->len ? input->len : 1);
    if (!exact || input->failed)
        return -1;
    if (input->len)
        memcpy(exact, input->data, input->len);
    LLVMFuzzerTestOneInput(exact, input->len);
    free(exact);
    return 0;
}

static int replay_file(const char *path)
{
    cleanup_fclose FILE *f = fopen(path, "re");
    cleanup(buffer_done) struct buffer input = {0};
    char part[4096];
    size_t n;
    if (!f)
        return -1;
    /* Before the input, so that a crash shows which one it was. */
    fprintf(stderr, "%s\n", path);
    while ((n = fread(part, 1, sizeof part, f)) > 0)
        buffer_append(&input, part, n);
    return ferror(f) ? -1 : replay(&input);
}

static int replay_folder(const char *folder)
{
    struct dirent **entries;
    int n = scandir(folder, &entries, NULL, alphasort), files = 0;
    for (int i = 0; i < n; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        if (entries[i]->d_type != DT_DIR && files >= 0)
            files = replay_file(path) < 0 ? -1 : files + 1;
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
    return n < 0 ? -1 : files;
}

int main(int argc, char *argv[])
{
    int all = 0;
    for (int i = 1; i < argc; i++) {
        int n = replay_folder(argv[i]);
        if (n < 0) {
            perror(argv[i]);
            return EXIT_FAILURE;
        }
        all += n;
    }
    printf("%d inputs\n", all);
    return all ? EXIT_SUCCESS : EXIT_FAILURE;
}
