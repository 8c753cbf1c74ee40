/* help.c: the text of --help around the list of options. */
#include "command/help.h"

#include <stdio.h>

#include "command/setup.h"

static const struct {
    enum command command;
    const char *usage, *about;
} heads[] = {
    {COMMAND_LISTEN, "vodhook [listen] [OPTION]...",
     "Receives the event notifications of Tencent Cloud VOD over HTTP: shows each event, keeps it, and "
     "answers\n"
     "every request with 200. Without options it listens on port 8080.\n"
     "\n"
     "Commands:\n"
     "  listen                      receive events that VOD posts (normal callback); the default\n"
     "  pull                        take events from VOD's queue (reliable callback)\n"
     "  reconcile                   fetch the events that never came from what the API still knows\n"
     "  events                      look at recorded events, follow them\n"
     "  forward                     hand recorded events on: to a service, a program, Kafka\n"
     "  wait                        block until an upload or a flow is decided\n"
     "  settings                    show and change how VOD delivers events\n"
     "\n"
     "vodhook help COMMAND lists the options of the others, vodhook version prints the version."},
    {COMMAND_PULL, "vodhook pull [OPTION]...",
     "Takes the events of the reliable callback out of VOD's queue: pulls, records, and confirms what is "
     "recorded."},
    {COMMAND_RECONCILE, "vodhook reconcile [OPTION]...",
     "Compares the tasks and files that VOD's API knows with the inbox, and records what is missing as the\n"
     "event that VOD would have sent. The key needs vod:DescribeTasks, vod:DescribeTaskDetail and\n"
     "vod:SearchMedia."},
    {COMMAND_EVENTS, "vodhook events [OPTION]...", "Shows the events that were recorded, the oldest first."},
    {COMMAND_WAIT, "vodhook wait --file-id ID | --task-id ID | --context TEXT [OPTION]...",
     "Blocks until the upload or flow is decided, and prints its event. Exit status 0: it went well, 1: it\n"
     "failed, 124: it was not decided in time."},
    {COMMAND_SETTINGS, "vodhook settings [OPTION]...",
     "Shows how VOD delivers events, and how many wait in its queue; with options, changes that.\n"
     "What is not given stays as it is."},
};

static const char files[] = "\n"
                            "Files:\n"
                            "  " CONFIG_DEFAULT "           settings, name = value, as the long options\n"
                            "  /var/lib/vodhook/inbox.db   the events, where the service records them\n"
                            "\n"
                            "Exit status:\n"
                            "   0  done, or stopped by a signal\n"
                            "   1  a failure\n"
                            "   2  wrong usage\n"
                            "  78  a mistake in the configuration\n"
                            "\n"
                            "vodhook(1) explains everything.";

void help_print(enum command command, const struct options *o)
{
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        if (heads[i].command == command)
            printf("Usage: %s\n\n%s\n", heads[i].usage, heads[i].about);
    options_print_help(o);
    puts(files);
}
