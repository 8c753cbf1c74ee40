/* fuzz_config.c: any bytes as a configuration file: it is read or refused, and what was read reads back the
 * same. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "command/table.h"

/* A file in memory with these bytes, by its name under /proc. */
static int memory_file(const void *data, size_t size, char *ret_path, size_t path_size)
{
    int fd = memfd_create("config", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    snprintf(ret_path, path_size, "/proc/self/fd/%d", fd);
    return fd;
}

/* Runs options_print_config() with stdout in a new file in memory. */
static int print_to_memory(const struct options *o, char *ret_path, size_t path_size)
{
    int fd = memory_file("", 0, ret_path, path_size);
    fflush(stdout);
    int saved = dup(STDOUT_FILENO);
    dup2(fd, STDOUT_FILENO);
    options_print_config(o);
    fflush(stdout);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    return fd;
}

static void compare(const struct options *a, const struct options *b, const struct option_row *table)
{
    for (const struct option_row *row = table; row->name; row++) {
        if (!(row->commands & COMMAND_LISTEN) || row->argv_only || row->secret)
            continue;
        size_t n = options_count(a, row->name);
        if (n != options_count(b, row->name) || options_number(a, row->name) != options_number(b, row->name))
            abort();
        for (size_t i = 0; i < n; i++)
            if (strcmp(options_nth(a, row->name, i), options_nth(b, row->name, i)) != 0)
                abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    struct options *o = options_new(option_tables, COMMAND_LISTEN);
    int fd = memory_file(data, size, path, sizeof path);
    int r = options_parse_file(o, path);
    close(fd);
    /* Secrets do not read back. */
    if (r == 0 && !options_string(o, "path")) {
        struct options *again = options_new(option_tables, COMMAND_LISTEN);
        fd = print_to_memory(o, path, sizeof path);
        if (options_parse_file(again, path) != 0)
            abort();
        for (size_t t = 0; option_tables[t]; t++)
            compare(o, again, option_tables[t]);
        close(fd);
        options_free(again);
    }
    options_free(o);
    return 0;
}
